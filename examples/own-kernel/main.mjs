// Fits sin(3 x) + x / 2 with two linear layers and an activation of our own. Run: node examples/own-kernel/main.mjs
import { Adam, Linear, manualSeed, mseLoss, Parameter, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { snake } from "./snake.mjs";

const device = await openDevice();
manualSeed(device, 1);

const points = Float32Array.from({ length: 128 }, (_, i) => (i / 127) * 6 - 3);
const x = Tensor.from(device, points, [128, 1]);
const target = Tensor.from(
  device,
  points.map((v) => Math.sin(3 * v) + v / 2),
  [128, 1],
);

const first = new Linear(device, 1, 16);
const second = new Linear(device, 16, 1);
const a = new Parameter(Tensor.full(device, [16], 1));
const optimizer = new Adam([...first.parameters(), ...second.parameters(), a], { lr: 0.02 });

for (let step = 0; step <= 200; step++) {
  // A step is one scope: it enqueues work, and all it made but the loss goes back to the pool.
  const loss = scope(() => {
    optimizer.zeroGrad();
    const y = second.forward(snake(first.forward(x), a));
    const value = mseLoss(y, target);
    value.backward();
    optimizer.step();
    return value;
  });
  if (step % 50 === 0) console.log(`step ${step}: loss ${(await loss.item()).toFixed(4)}`);
  loss.dispose();
}
device.close();
