#include "kernels/embedding/embedding_ref.h"

namespace caracal::kernels {

const EmbeddingLoops kEmbeddingReference = {AddRowReference<float>};

}  // namespace caracal::kernels
