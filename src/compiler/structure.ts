/**
 * What makes two graphs share a plan: their structure as a list of integers, and its hash.
 * @module
 */

import type { BufferHome } from "../devices/device.js";
import { DTYPES, type StorageType } from "../kernels/dtype.js";
import type { Tensor } from "../tensor/tensor.js";
import { isGiven } from "./partition.js";

/** What a plan is compiled from. */
export interface Graph {
  /** Every node, inputs before their users; a node's `_position` is its place here. */
  readonly nodes: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Nodes whose elements are given, and constants, in the order the plan takes them. */
  readonly inputs: readonly Tensor[];
  readonly constants: readonly Tensor[];
  /** Inputs in whose memory the plan may write. */
  readonly givenUp: readonly Tensor[];
}

/** A type's place is its number in the structure. */
const STORAGE_TYPES: readonly StorageType[] = [...DTYPES, "bfloat16"];

/** The number of the next traversal; none is used twice. */
let nextVisit = 1;

/**
 * The structure of a graph as a list of integers: operations, dtypes, shapes, attributes and
 * sharing, but neither the elements of its leaves nor the values of its constants.
 */
export class Structure {
  hash = 0;
  /** How many computed nodes of this graph the graph captured before has, too. */
  repeated = 0;
  private values = new Int32Array(4096);
  private length = 0;

  /**
   * Lists the graph behind the outputs and records its structure. Evaluated tensors that are given up are part of
   * it; of those that nothing reads, only the ones in `home`, whose memory is there already.
   */
  capture(
    outputs: readonly Tensor[],
    spare: readonly Tensor[] = [],
    home: BufferHome | null = null,
  ): Graph {
    this.length = 0;
    const visit = nextVisit++;
    this.repeated = 0;
    const nodes: Tensor[] = [];
    const inputs: Tensor[] = [];
    const constants: Tensor[] = [];
    const stack: Tensor[] = [];
    const unread = spare.filter(({ buffer }) => buffer?.home === home);
    for (const output of [...outputs, ...unread]) {
      stack.push(output);
      while (stack.length > 0) {
        const node = stack[stack.length - 1]!;
        if (node._visit === visit) {
          stack.pop();
          continue;
        }
        const given = isGiven(node);
        let ready = true;
        if (!given) {
          for (let i = node.inputs.length - 1; i >= 0; i--) {
            const input = node.inputs[i]!;
            if (input._visit !== visit) {
              stack.push(input);
              ready = false;
            }
          }
        }
        if (!ready) continue;
        stack.pop();
        if (!given && node.inputs.length > 0 && node._visit === visit - 1) this.repeated++;
        node._visit = visit;
        node._position = nodes.push(node) - 1;
        if (given) inputs.push(node);
        else if (node.primitive.lowering.kind === "constant") constants.push(node);
        this.record(node, given);
      }
    }
    this.push(-2);
    for (const output of outputs) this.push(output._position);
    const givenUp = spare.filter((node) => node._visit === visit);
    if (givenUp.length > 0) this.push(-3);
    for (const node of givenUp) this.push(node._position);
    this.hash = this.fold();
    return { nodes, outputs: [...outputs], inputs, constants, givenUp };
  }

  /** A copy of the recorded structure. */
  key(): Int32Array {
    return this.values.slice(0, this.length);
  }

  /** Whether the recorded structure is the given one. */
  equals(key: Int32Array): boolean {
    if (key.length !== this.length) return false;
    for (let i = 0; i < key.length; i++) if (key[i] !== this.values[i]) return false;
    return true;
  }

  private record(node: Tensor, given: boolean): void {
    const { shape, attributes, inputs } = node;
    this.push(given ? -1 : node.primitive.id);
    this.push(STORAGE_TYPES.indexOf(node.storage));
    this.pushAll(shape);
    if (given) return;
    // The nodes of a primitive list the same attributes in the same order, so names need not be told.
    for (const name in attributes) {
      const attribute = attributes[name]!;
      if (typeof attribute === "number") this.push(attribute);
      else this.pushAll(attribute);
    }
    for (const input of inputs) this.push(input._position);
  }

  private pushAll(values: readonly number[]): void {
    this.push(values.length);
    for (const value of values) this.push(value);
  }

  private push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  /** FNV-1a over the recorded integers. */
  private fold(): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.length; i++) hash = Math.imul(hash ^ this.values[i]!, 0x01000193);
    return hash;
  }
}
