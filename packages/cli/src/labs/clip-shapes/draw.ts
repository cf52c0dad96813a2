/** Draws a described shape: signed distances to its edge, antialiased over one pixel, on a background with shade and noise. */
import { Generator } from "@wgrad/datasets";
import type { RawImage } from "@wgrad/image";
import { ATTRIBUTES, type Description } from "./shapes.js";

type Rgb = readonly [red: number, green: number, blue: number];
type Point = readonly [x: number, y: number];
/** Distance of a point to the edge of a form of radius 1, y downwards: negative inside. */
type Distance = (x: number, y: number) => number;

const COLOURS: Record<(typeof ATTRIBUTES.colour)[number], Rgb> = {
  red: [214, 32, 36],
  orange: [245, 134, 20],
  yellow: [242, 220, 40],
  green: [38, 158, 56],
  cyan: [40, 200, 214],
  blue: [36, 72, 208],
  purple: [126, 44, 168],
  pink: [246, 122, 186],
};

const FORMS: Record<(typeof ATTRIBUTES.form)[number], Distance> = {
  circle: (x, y) => Math.hypot(x, y) - 0.94,
  square: polygon([
    [-0.82, -0.82],
    [0.82, -0.82],
    [0.82, 0.82],
    [-0.82, 0.82],
  ]),
  triangle: polygon(spokes(3, [1.16]).map(([x, y]) => [x, y + 0.22])),
  star: polygon(spokes(10, [1.14, 0.46])),
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 0.72) - 0.24,
  cross: polygon([
    ...([
      [-0.3, -0.98],
      [0.3, -0.98],
      [0.3, -0.3],
      [0.98, -0.3],
    ] as const),
    ...([
      [0.98, 0.3],
      [0.3, 0.3],
      [0.3, 0.98],
      [-0.3, 0.98],
    ] as const),
    ...([
      [-0.3, 0.3],
      [-0.98, 0.3],
      [-0.98, -0.3],
      [-0.3, -0.3],
    ] as const),
  ]),
};

/** Radius of each size, as shares of the picture's side. */
const RADII: Record<(typeof ATTRIBUTES.size)[number], number> = { small: 0.14, large: 0.24 };
/** Middle of the first, second and third row or column, as shares of the side. */
const PLACES = [0.25, 0.5, 0.75] as const;

/** Corners on rays from the middle, the first upwards, at radii that take turns. */
function spokes(count: number, radii: readonly number[]): Point[] {
  return Array.from({ length: count }, (_, i) => {
    const angle = (2 * Math.PI * i) / count;
    const radius = radii[i % radii.length]!;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)] as const;
  });
}

/** Distance to a simple polygon: the nearest edge, negative where a ray crosses an odd number of them. */
function polygon(corners: readonly Point[]): Distance {
  return (x, y) => {
    let nearest = Number.POSITIVE_INFINITY;
    let isInside = false;
    corners.forEach(([ax, ay], i) => {
      const [bx, by] = corners[(i + 1) % corners.length]!;
      const [ex, ey] = [bx - ax, by - ay];
      const along = ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey);
      const share = Math.min(1, Math.max(0, along));
      nearest = Math.min(nearest, Math.hypot(x - ax - share * ex, y - ay - share * ey));
      if (ay > y !== by > y && x < ax + (ex * (y - ay)) / ey) isInside = !isInside;
    });
    return isInside ? -nearest : nearest;
  };
}

/**
 * Draws a picture. No two are alike: place, radius, angle and colour of the shape vary a little, and the background is any
 * grey with a tint, lighter to one side, under noise.
 * @param options.side width and height in pixels
 * @param options.seed of the data set
 * @param options.picture number of the picture in the data set: what varies depends on it and the seed alone
 */
export function drawShape(
  { colour, form, size, position }: Description,
  { side, seed, picture }: { side: number; seed: number; picture: number },
): RawImage {
  const random = new Generator(seed, picture);
  const between = (low: number, high: number) => low + (high - low) * random.nextFloat();
  const around = (spread: number) => between(-spread, spread);
  const shade = between(35, 220);
  const background = [shade + around(12), shade + around(12), shade + around(12)] as const;
  const slope = [around(30), around(30)] as const;
  const ink = COLOURS[ATTRIBUTES.colour[colour]!].map((value) => value + around(28));
  const centreX = side * (PLACES[position % 3]! + around(0.035));
  const centreY = side * (PLACES[Math.floor(position / 3)]! + around(0.035));
  const radius = side * RADII[ATTRIBUTES.size[size]!] * between(0.9, 1.1);
  const angle = around(0.2);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const distance = FORMS[ATTRIBUTES.form[form]!];
  // Corners lie within 1.4 radii, and the edge is one pixel wide.
  const reach = 1.4 * radius + 1;
  /** Share of a pixel that the shape covers, by how far its middle is from the edge. */
  const coverAt = (x: number, y: number) => Math.min(1, Math.max(0, 0.5 - distance(x, y) * radius));

  const data = new Uint8Array(side * side * 3);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [dx, dy] = [column + 0.5 - centreX, row + 0.5 - centreY];
      const isNear = dx * dx + dy * dy < reach * reach;
      const cover = isNear ? coverAt((cos * dx + sin * dy) / radius, (cos * dy - sin * dx) / radius) : 0;
      const light = slope[0] * (column / side - 0.5) + slope[1] * (row / side - 0.5);
      // Three bytes of one word: noise for red, green and blue, up to 8 levels either way.
      const noise = random.nextUint32();
      for (let channel = 0; channel < 3; channel++) {
        const ground = background[channel]! + light;
        const grain = (((noise >>> (8 * channel)) & 255) - 127.5) / 16;
        const value = ground + cover * (ink[channel]! - ground) + grain;
        data[(row * side + column) * 3 + channel] = Math.round(Math.min(255, Math.max(0, value)));
      }
    }
  }
  return { data, width: side, height: side };
}
