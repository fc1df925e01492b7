import { load } from "./tfjs.ts";
import { standardGpt, golden } from "../workloads/gpt.ts";
const peer = await load();
for (const mode of ["forward","step"] as const) {
const task = await peer.solve.gpt!(standardGpt("dpo", mode));
let t=performance.now();
const r = await task.results!();
console.log("results", performance.now()-t, r.losses, golden().results["gpt-dpo"].losses.slice(0,4), Math.max(...golden().results["gpt-dpo"].chosenLogps.map((x,i)=>Math.abs(x-r.logps![i]!))));
for(let i=0;i<5;i++){t=performance.now(); const l=await task.run(); console.log(l, (performance.now()-t).toFixed(0));}
}
