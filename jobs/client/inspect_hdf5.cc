#include "jobs/client/inspect_hdf5.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

// A group may be linked into itself; files of ours are far flatter.
constexpr int kMaxDepth = 32;
constexpr size_t kMaxDatasets = 100000;

absl::Status Walk(const hdf5::File& file, const std::string& group, int depth,
                  std::vector<InspectedTensor>* out) {
  if (depth > kMaxDepth || out->size() > kMaxDatasets) {
    return absl::InvalidArgumentError(absl::StrCat(
        file.path(), ": group ", group, ": nested too deep or too large"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, file.List(group));
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(group == "/" ? "" : group, "/", name);
    ASSIGN_OR_RETURN(const bool is_group, file.IsGroup(path));
    if (is_group) {
      RETURN_IF_ERROR(Walk(file, path, depth + 1, out));
      continue;
    }
    ASSIGN_OR_RETURN(const hdf5::Dataset dataset, file.OpenDataset(path));
    const hdf5::DatasetInfo& info = dataset.info();
    out->push_back({path.substr(1),
                    {info.shape.begin(), info.shape.end()},
                    hdf5::NameOf(info.type),
                    hdf5::ElementCount(info.shape) * hdf5::SizeOf(info.type)});
  }
  return absl::OkStatus();
}

// Rows and their length, if it is packed data.
absl::Status AddPacked(const std::string& path, bool verify, FileSystem* files,
                       Inspection* out) {
  PackedDatasetOptions options;
  options.max_memory_bytes = 0;  // rows are only read when asked for
  ASSIGN_OR_RETURN(const std::unique_ptr<PackedDataset> data,
                   PackedDataset::Open(path, options, files));
  out->Add("rows", Count(data->rows()), data->rows());
  out->Add("row tokens",
           absl::StrCat(Count(data->seq_len()), " to predict, ",
                        Count(data->rows() * data->seq_len()), " in all"),
           data->seq_len());
  out->Add("loss mask", data->has_loss_mask() ? "yes" : "no",
           data->has_loss_mask());
  out->Add("documents", data->has_document() ? "yes" : "no",
           data->has_document());
  if (!data->tokenizer_fingerprint().empty()) {
    out->Add("tokenizer", data->tokenizer_fingerprint());
  }
  if (verify) {
    RETURN_IF_ERROR(data->CheckAllRows());
    out->Add("contents", "every row checked", true);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<InspectedTensor>> ListDatasets(
    const std::string& path, FileSystem* files) {
  ASSIGN_OR_RETURN(const hdf5::File file, hdf5::File::Open(path, files));
  std::vector<InspectedTensor> datasets;
  RETURN_IF_ERROR(Walk(file, "/", 0, &datasets));
  return datasets;
}

absl::StatusOr<Inspection> InspectHdf5(const std::string& path, bool verify,
                                       FileSystem* files) {
  Inspection out;
  out.path = path;
  out.format = "HDF5";
  ASSIGN_OR_RETURN(out.tensors, ListDatasets(path, files));
  for (const InspectedTensor& dataset : out.tensors) {
    if (absl::StrCat("/", dataset.name) != kTokensDataset) continue;
    out.format = "packed data";
    out.problem = AddPacked(path, verify, files, &out);
  }
  return out;
}

}  // namespace caracal
