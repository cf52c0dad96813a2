export interface Kill {
  on: string;
  count: number;
  delay: number;
}
export function leg(
  args: readonly string[],
  kill: Kill | null,
): Promise<{ killed: boolean; lines: string[] }>;
export function lastSaved(lines: readonly string[]): number;
export function leftBehind(folder: string): { steps: number[]; others: string[] };
export function differences(folder: string, whole: string, step: number): string[];
export function sameLog(folder: string, whole: string): boolean;
