import type { Size, Transform } from "@wgrad/image";

/** True for transforms that draw numbers. */
export function isRandom(transform: Transform): boolean {
  return (
    transform.type === "randomResizedCrop" ||
    transform.type === "randomHorizontalFlip" ||
    transform.type === "colorJitter"
  );
}

/**
 * The transforms without chance: a random crop becomes a resize of the shortest edge and a crop of the middle (with a height and a
 * width that differ, a resize to these), flips and changes of colour are left out.
 */
export function withoutChance(transforms: readonly Transform[]): Transform[] {
  return transforms.flatMap((transform): Transform[] => {
    if (!isRandom(transform)) return [transform];
    if (transform.type !== "randomResizedCrop") return [];
    const { size, interpolation } = transform;
    const how = interpolation === undefined ? {} : { interpolation };
    const [height, width] = pair(size);
    if (height !== width) return [{ type: "resize", size, ...how }];
    return [
      { type: "resize", size: height, ...how },
      { type: "centerCrop", size: height },
    ];
  });
}

/** `[height, width]` that every picture has after these transforms; null where it depends on the picture. */
export function outputSize(transforms: readonly Transform[]): readonly [number, number] | null {
  const last = transforms.findLast((transform) => "size" in transform);
  if (last === undefined || !("size" in last)) return null;
  return last.type === "resize" && typeof last.size === "number" ? null : pair(last.size);
}

function pair(size: Size): readonly [number, number] {
  return typeof size === "number" ? [size, size] : size;
}
