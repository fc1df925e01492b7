/**
 * Eight Gaussians on a circle, and what is measured of points on them.
 * @module
 */

import type { RandomGenerator } from "../../../src/index.js";

/** A point of the plane. */
export type Point = readonly [x: number, y: number];

/** Such that each coordinate of the mixture has variance 1 but for the modes' own. */
const RADIUS = Math.SQRT2;

/** Standard deviation of a mode, in each coordinate. */
export const STD = 0.12;

/** Of the standard deviation, how far from its centre a point is of a mode: but for 1.1 % of a mode's own. */
const REACH = 3;

/** The centres of the modes. */
export const MODES: readonly Point[] = Array.from({ length: 8 }, (_, k) => [
  RADIUS * Math.cos((k * Math.PI) / 4),
  RADIUS * Math.sin((k * Math.PI) / 4),
]);

/** The modes that are preferred: every other one. */
export const PREFERRED: readonly number[] = [0, 2, 4, 6];

/** The mode that a point is of, or null. */
export function modeOf([x, y]: Point): number | null {
  const near = MODES.findIndex(([cx, cy]) => Math.hypot(x - cx, y - cy) <= REACH * STD);
  return near < 0 ? null : near;
}

/** A point of the mixture, each mode as likely. */
export function pointOf(next: RandomGenerator): Point {
  const [cx, cy] = MODES[Math.floor(MODES.length * next())]!;
  const radius = STD * Math.sqrt(-2 * Math.log(1 - next()));
  const angle = 2 * Math.PI * next();
  return [cx + radius * Math.cos(angle), cy + radius * Math.sin(angle)];
}

/** What is measured of a model's samples. */
export interface SampleFigures {
  /** Share of all in preferred modes. */
  readonly preferred: number;
  /** Entropy of the preferred modes' shares among those in them, over its largest, the logarithm of their number; 0 if none is. */
  readonly coverage: number;
  /** Share of all in no mode. */
  readonly outside: number;
  /** Standard deviation within the preferred modes, over the data's. */
  readonly spread: number;
}

/** The figures of points. */
export function figuresOf(points: readonly Point[]): SampleFigures {
  const counts = MODES.map(() => 0);
  let outside = 0;
  let squares = 0;
  for (const point of points) {
    const mode = modeOf(point);
    if (mode === null) {
      outside++;
      continue;
    }
    counts[mode]!++;
    if (!PREFERRED.includes(mode)) continue;
    const [cx, cy] = MODES[mode]!;
    squares += (point[0] - cx) ** 2 + (point[1] - cy) ** 2;
  }
  const inModes = PREFERRED.map((k) => counts[k]!);
  const total = inModes.reduce((sum, count) => sum + count, 0);
  const entropy = inModes.reduce((sum, count) => {
    const share = count / Math.max(1, total);
    return share === 0 ? sum : sum - share * Math.log(share);
  }, 0);
  return {
    preferred: total / points.length,
    coverage: entropy / Math.log(PREFERRED.length),
    outside: outside / points.length,
    spread: total === 0 ? 0 : Math.sqrt(squares / total / 2) / STD,
  };
}
