import { done } from "./main.js";

globalThis.done = done;
