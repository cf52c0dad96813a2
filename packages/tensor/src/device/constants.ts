// WebGPU's flags by name. They are globals in browsers only, and importing the engine must not need one.

/** `GPUBufferUsage` */
export const BufferUsage = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;

/** `GPUShaderStage` */
export const ShaderStage = { COMPUTE: 0x4 } as const;

/** `GPUMapMode` */
export const MapMode = { READ: 0x1 } as const;
