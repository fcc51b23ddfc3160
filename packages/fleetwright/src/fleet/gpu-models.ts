/** What a node with such GPUs looks like, unless a fleet file says otherwise. */
export interface GpuModel {
  /** `nvidia.com/gpu.product`, as GPU feature discovery writes it. */
  readonly product: string;
  /** `nvidia.com/gpu.memory`, in MiB. */
  readonly memoryMiB: number;
  /** On a usual node. */
  readonly gpus: number;
  readonly cpu: string;
  readonly memory: string;
}

/** Short names of GPU models, as quota keys use them (`requests.nvidia.com/gpu.H200`). */
export const gpuModels: Readonly<Record<string, GpuModel>> = {
  T4: { product: "Tesla-T4", memoryMiB: 15_360, gpus: 4, cpu: "48", memory: "192Gi" },
  V100: { product: "Tesla-V100-SXM2-32GB", memoryMiB: 32_768, gpus: 8, cpu: "96", memory: "768Gi" },
  A10: { product: "NVIDIA-A10", memoryMiB: 23_028, gpus: 4, cpu: "64", memory: "512Gi" },
  A30: { product: "NVIDIA-A30", memoryMiB: 24_576, gpus: 4, cpu: "64", memory: "512Gi" },
  A100: { product: "NVIDIA-A100-SXM4-80GB", memoryMiB: 81_920, gpus: 8, cpu: "128", memory: "1Ti" },
  L4: { product: "NVIDIA-L4", memoryMiB: 23_034, gpus: 4, cpu: "48", memory: "192Gi" },
  L40S: { product: "NVIDIA-L40S", memoryMiB: 46_068, gpus: 8, cpu: "128", memory: "1Ti" },
  H100: { product: "NVIDIA-H100-80GB-HBM3", memoryMiB: 81_559, gpus: 8, cpu: "192", memory: "2Ti" },
  H200: { product: "NVIDIA-H200", memoryMiB: 143_771, gpus: 8, cpu: "192", memory: "2Ti" },
  B200: { product: "NVIDIA-B200", memoryMiB: 183_359, gpus: 8, cpu: "224", memory: "2Ti" },
  GB200: { product: "NVIDIA-GB200", memoryMiB: 189_471, gpus: 4, cpu: "144", memory: "960Gi" },
};
