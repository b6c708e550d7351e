#include "jobs/bench/random_rows.h"

namespace caracal {

std::vector<int32_t> RandomTokens(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens(count);
  uint64_t state = 1;
  for (int32_t& token : tokens) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    token = static_cast<int32_t>((state >> 33) % vocabulary);
  }
  return tokens;
}

void FillWithRandomRows(int64_t count, int64_t vocabulary, BatchBuffer* out) {
  out->Fill(RandomTokens(count * (out->seq_len() + 1), vocabulary), count);
}

}  // namespace caracal
