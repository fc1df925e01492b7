/**
 * Models whose matrices stay bfloat16, on WebAssembly.
 */

import { describeBFloat16Models } from "./bfloat16.js";
import { TINY } from "./tinyCheckpoint.js";

describeBFloat16Models("wasm", {}, Object.keys(TINY) as (keyof typeof TINY)[]);
