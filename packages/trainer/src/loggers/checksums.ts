/** Cyclic redundancy checks of 32 bits: the one of TFRecord files, and the one of zlib. */

/** CRC-32C (Castagnoli). */
export const crc32c = checksum(0x82f63b78);
/** CRC-32 as zlib and PNG have it. */
export const crc32 = checksum(0xedb88320);

/** @param polynomial reflected */
function checksum(polynomial: number): (...parts: readonly Uint8Array[]) => number {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc;
  });
  return (...parts) => {
    let crc = 0xffffffff;
    for (const part of parts) for (const byte of part) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255]!;
    return ~crc >>> 0;
  };
}
