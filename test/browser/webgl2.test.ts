/**
 * WebGL2 in Chromium.
 */

import { describeBrowser } from "./describeBrowser.js";
import { WEBGL2 } from "./devices.js";

describeBrowser([WEBGL2]);
