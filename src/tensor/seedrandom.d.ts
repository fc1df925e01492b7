declare module "seedrandom/lib/alea.js" {
  /** A generator of uniform numbers in [0, 1) (Johannes Baagøe's Alea). */
  export default function alea(seed: string): () => number;
}
