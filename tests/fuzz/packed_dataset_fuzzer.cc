// Feeds arbitrary bytes to the reader of packed data, from memory and row by
// row, and as an HDF5 file with any data sets in it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/fault_file_system.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr char kPath[] = "/fuzz.h5";
constexpr int32_t kVocabSize = 100;

void CheckNamed(const absl::Status& status) {
  CARACAL_CHECK(status.message().find(kPath) != absl::string_view::npos)
      << status.ToString();
}

void ReadPacked(FileSystem* files, int64_t max_memory_bytes) {
  PackedDatasetOptions options;
  options.vocab_size = kVocabSize;
  options.max_memory_bytes = max_memory_bytes;
  const auto data = PackedDataset::Open(kPath, options, files);
  if (!data.ok()) return CheckNamed(data.status());
  const int64_t n = (*data)->row_tokens();
  CARACAL_CHECK(n >= 2 && (*data)->rows() >= 1);
  if (n > 65536) return;  // allowed, but slow
  std::vector<int32_t> tokens(n);
  std::vector<uint8_t> mask(n);
  std::vector<int64_t> document(n);
  for (const int64_t row : {int64_t{0}, (*data)->rows() - 1}) {
    const absl::Status status =
        (*data)->ReadRow(row, absl::MakeSpan(tokens), absl::MakeSpan(mask),
                         absl::MakeSpan(document));
    if (!status.ok()) {
      CheckNamed(status);
      continue;
    }
    for (int64_t i = 0; i < n; ++i) {
      CARACAL_CHECK(tokens[i] >= 0 && tokens[i] < kVocabSize && mask[i] <= 1);
    }
  }
}

void ReadDatasets(const hdf5::File& file, const std::string& group, int depth) {
  const auto names = file.List(group);
  if (!names.ok()) return CheckNamed(names.status());
  for (const std::string& name : *names) {
    const std::string path = JoinPath(group, name);
    if (file.IsGroup(path).value_or(false)) {
      if (depth > 0) ReadDatasets(file, path, depth - 1);
      continue;
    }
    const auto dataset = file.OpenDataset(path);
    if (!dataset.ok()) {
      CheckNamed(dataset.status());
      continue;
    }
    const hdf5::DatasetInfo& info = dataset->info();
    const uint64_t elements = hdf5::ElementCount(info.shape);
    if (info.type == hdf5::Type::kString) {
      (void)file.ReadStrings(path);
    } else if (info.type != hdf5::Type::kOther && elements <= 100000) {
      std::vector<char> buffer(elements * hdf5::SizeOf(info.type));
      (void)dataset->ReadElements(info.type, buffer.data(), elements);
    }
  }
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  caracal::FaultFileSystem files;
  CARACAL_CHECK(
      files.Append(caracal::kPath, {reinterpret_cast<const char*>(data), size})
          .ok());
  caracal::ReadPacked(&files, 0);
  caracal::ReadPacked(&files, 1 << 20);
  const auto file = caracal::hdf5::File::Open(caracal::kPath, &files);
  if (file.ok()) caracal::ReadDatasets(*file, "/", 4);
  return 0;
}
