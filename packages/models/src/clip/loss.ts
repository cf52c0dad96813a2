import { crossEntropy, scope, Tensor } from "@wgrad/tensor";

/**
 * The contrastive loss: each text is to find its picture among those of the batch, and each picture its text; the mean of both cross
 * entropies. Source: Radford et al. 2021, figure 3; `image_text_contrastive_loss` of transformers.
 * @param logitsPerText [B, B] f32; text i belongs to picture i
 * @returns 0-d
 */
export function clipLoss(logitsPerText: Tensor): Tensor {
  return scope(() => {
    const { device } = logitsPerText;
    const own = Tensor.full(device, [logitsPerText.size(0)], 1, { dtype: "i32" })
      .cumsum(0)
      .sub(1);
    const texts = crossEntropy(logitsPerText, own);
    const pictures = crossEntropy(logitsPerText.transpose(0, 1), own);
    return texts.add(pictures).div(2);
  });
}
