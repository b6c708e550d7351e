// A model's configuration for people and for scripts.
#ifndef CARACAL_JOBS_CLIENT_MODEL_WORDS_H_
#define CARACAL_JOBS_CLIENT_MODEL_WORDS_H_

#include <cstdint>
#include <string>

#include "core/io/model_config.h"
#include "nlohmann/json.hpp"

namespace caracal {

// Parameters of a model: embeddings (once where they are tied), norms and
// projections.
int64_t ModelParameters(const ModelConfig& model);

// "llama, 30 layers of 9 query and 3 key/value heads of 64, 134.5 M
// parameters"
std::string ModelWords(const ModelConfig& model);

// One object, named as in Hugging Face's config.json, and `parameters`.
nlohmann::ordered_json ModelJson(const ModelConfig& model);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_MODEL_WORDS_H_
