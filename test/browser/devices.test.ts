/**
 * WebAssembly and WebGPU in Chromium.
 */

import { describeBrowser } from "./describeBrowser.js";
import { BROWSER_DEVICES } from "./devices.js";

describeBrowser(BROWSER_DEVICES);
