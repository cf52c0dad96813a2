// Asks Dawn for an adapter and a device and prints one line of JSON about it. Runs in a process of its own, because a
// broken driver may end the process that asks.
const answer = await probe().catch((error) => ({ ok: false, why: String(error?.message ?? error) }));
process.stdout.write(`${JSON.stringify(answer)}\n`);

async function probe() {
  const { create } = await import("webgpu");
  globalThis.dawn = create([]); // Dawn crashes if this object is collected while an adapter lives
  const adapter = await globalThis.dawn.requestAdapter();
  if (!adapter) return { ok: false, why: "Dawn finds no adapter" };
  const { vendor, device, description } = adapter.info;
  const name = description || device || vendor;
  if (device === "null-backend")
    return {
      ok: false,
      why: "Dawn offers only its null backend, which computes nothing (is DAWNNODE_BACKEND set?)",
    };
  await adapter.requestDevice();
  return { ok: true, name };
}
