declare module "gpu.js/dist/gpu-browser.min.js" {
  const gpujs: unknown;
  export default gpujs;
}
