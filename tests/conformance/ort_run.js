// Runs models with ONNX Runtime:  node ort_run.js PACKAGE LIST.json
// LIST: [{model, inputs: [{file, type, dims}], output}, …]; files are raw and little-endian. The first output is written.
// Prints one JSON line for each model: {model, dims} or {model, error}.
const fs = require('fs');
const ort = require(process.argv[2]);
const arrays = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array, int64: BigInt64Array };

async function run(job) {
  const session = await ort.InferenceSession.create(job.model, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });
  const feeds = {};
  job.inputs.forEach((input, i) => {
    const bytes = fs.readFileSync(input.file);
    const data = new arrays[input.type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    feeds[session.inputNames[i]] = new ort.Tensor(input.type, data, input.dims);
  });
  const output = (await session.run(feeds))[session.outputNames[0]];
  fs.writeFileSync(job.output, Buffer.from(output.data.buffer, output.data.byteOffset, output.data.byteLength));
  return { model: job.model, dims: output.dims };
}

(async () => {
  for (const job of JSON.parse(fs.readFileSync(process.argv[3]))) {
    const result = await run(job).catch((error) => ({ model: job.model, error: String(error.message || error) }));
    console.log(JSON.stringify(result));
  }
})();
