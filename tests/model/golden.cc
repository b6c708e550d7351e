#include "tests/model/golden.h"

#include <cmath>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/safetensors_file.h"

namespace caracal::golden {

std::string ModelFolder(const std::string& model) {
  return "tests/golden/model/" + model;
}

absl::StatusOr<GoldenTensors> ReadGoldenTensors(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file,
                   SafetensorsFile::Open(path));
  GoldenTensors tensors;
  for (const SafetensorsTensor& t : file->tensors()) {
    if (t.encoding != Encoding::kF32) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", t.name, " is not fp32"));
    }
    GoldenTensor& out = tensors[t.name];
    out.shape = t.shape;
    out.values.resize(t.data.size() / sizeof(float));
    std::memcpy(out.values.data(), t.data.data(), t.data.size());
  }
  return tensors;
}

absl::StatusOr<nlohmann::json> ReadGoldenJson(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, FileSystem::Posix()->ReadFile(path));
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    return absl::DataLossError(path + ": not JSON");
  }
  return json;
}

std::vector<int32_t> GoldenRows(const GoldenTensors& tensors,
                                const std::string& name, int64_t first_row,
                                int64_t rows, int64_t columns) {
  const GoldenTensor& all = tensors.at(name);
  std::vector<int32_t> out;
  for (int64_t r = first_row; r < first_row + rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      out.push_back(static_cast<int32_t>(all.values.at(r * all.shape[1] + c)));
    }
  }
  return out;
}

double Norm(const std::vector<float>& values) {
  double squares = 0;
  for (const float v : values) {
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  return std::sqrt(squares);
}

double RelativeDifference(const std::vector<float>& a,
                          const std::vector<float>& b) {
  CARACAL_CHECK(a.size() == b.size()) << a.size() << " and " << b.size();
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    squares += d * d;
  }
  const double norm = Norm(b);
  return norm > 0 ? std::sqrt(squares) / norm : std::sqrt(squares);
}

}  // namespace caracal::golden
