declare module "*.wgsl" {
  const source: string;
  export default source;
}

declare module "*.html" {
  const text: string;
  export default text;
}
