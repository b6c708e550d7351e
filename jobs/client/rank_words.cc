#include "jobs/client/rank_words.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "eval/report/numbers.h"
#include "jobs/client/fact_list.h"
#include "jobs/client/table.h"
#include "jobs/plan/communication.h"
#include "jobs/plan/stage_layout.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;
using Align = Table::Align;

constexpr int kMostPlaces = 16;  // lines of a table
constexpr int kNameColumns = 9;

// "0 to 5", "3"
std::string Numbers(const IndexRange& range) {
  return range.size() == 1 ? absl::StrCat(range.begin)
                           : absl::StrCat(range.begin, " to ", range.end - 1);
}

// "tensor 1", "layer 0, tensor 1", "each"
std::string PlaceName(const MeshShape& mesh, const MeshPlace& place) {
  std::vector<std::string> parts;
  if (mesh.layer > 1) parts.push_back(absl::StrCat("layer ", place.layer));
  if (mesh.tensor > 1) parts.push_back(absl::StrCat("tensor ", place.tensor));
  return parts.empty() ? "each" : absl::StrJoin(parts, ", ");
}

// What a rank has and does in a stage, bytes.
struct RankBytes {
  uint64_t weights = 0, trained = 0, gradients = 0, moments = 0;
  GangTraffic sent;
};
RankBytes BytesOf(const StageLayout& layout, const RankPart& part,
                  const MeshPlace& place) {
  constexpr uint64_t kFloat = sizeof(float);
  RankBytes out;
  out.weights = kFloat * part.weights();
  out.trained = out.gradients = kFloat * part.trained_elements();
  out.moments =
      2 * kFloat * UpdatedElements(part, layout.mesh.data, place.data);
  out.sent = StepTraffic(layout, part, place);
  return out;
}

// The most of all data ranks.
RankBytes MostBytes(const StageLayout& layout, const RankPart& part,
                    MeshPlace place) {
  RankBytes most;
  for (place.data = 0; place.data < layout.mesh.data; ++place.data) {
    const RankBytes one = BytesOf(layout, part, place);
    const uint64_t moments = std::max(most.moments, one.moments);
    const uint64_t data = std::max(most.sent.data, one.sent.data);
    most = one;
    most.moments = moments;
    most.sent.data = data;
  }
  return most;
}

// A rank of each place in the first copy of the model.
std::vector<MeshPlace> PlacesOf(const MeshShape& mesh) {
  std::vector<MeshPlace> places;
  for (int rank = 0; rank < mesh.layer * mesh.tensor; ++rank) {
    places.push_back(PlaceOf(mesh, rank));
  }
  return places;
}

std::string PartTable(const StageLayout& layout, const Console& console) {
  const MeshShape& mesh = layout.mesh;
  Table table({{"holds"},
               {"layers"},
               {"query heads"},
               {"key heads"},
               {"MLP", Align::kRight},
               {"vocabulary", Align::kRight},
               {"weights", Align::kRight}});
  for (const MeshPlace& place : PlacesOf(mesh)) {
    if (place.layer * mesh.tensor + place.tensor == kMostPlaces) break;
    const absl::StatusOr<RankPart> part = PartOf(layout, place);
    if (!part.ok()) return "";
    table.AddRow({PlaceName(mesh, place), Numbers(part->layers),
                  Numbers(part->split.heads),
                  absl::StrCat(Numbers(part->split.kv_heads),
                               part->split.kv_shared ? " (shared)" : ""),
                  Count(part->columns.size()), Count(part->vocabulary.size()),
                  Bytes(4 * part->weights())});
  }
  return table.ToString(console, 2);
}

std::string TrafficTable(const StageLayout& layout, const Console& console) {
  const MeshShape& mesh = layout.mesh;
  std::vector<Table::Column> columns = {{"trains and sends"},
                                        {"parameters", Align::kRight},
                                        {"gradients", Align::kRight},
                                        {"moments", Align::kRight}};
  if (mesh.tensor > 1) columns.push_back({"tensor", Align::kRight});
  if (mesh.data > 1) columns.push_back({"data", Align::kRight});
  if (mesh.layer > 1) columns.push_back({"layer", Align::kRight});
  columns.push_back({"world", Align::kRight});
  Table table(std::move(columns));
  for (const MeshPlace& place : PlacesOf(mesh)) {
    if (place.layer * mesh.tensor + place.tensor == kMostPlaces) break;
    const absl::StatusOr<RankPart> part = PartOf(layout, place);
    if (!part.ok()) return "";
    const RankBytes most = MostBytes(layout, *part, place);
    std::vector<Table::Cell> cells = {
        PlaceName(mesh, place), Bytes(most.trained), Bytes(most.gradients),
        Bytes(most.moments)};
    if (mesh.tensor > 1) cells.emplace_back(Bytes(most.sent.tensor));
    if (mesh.data > 1) cells.emplace_back(Bytes(most.sent.data));
    if (mesh.layer > 1) cells.emplace_back(Bytes(most.sent.layer));
    cells.emplace_back(Bytes(most.sent.world));
    table.AddRow(std::move(cells));
  }
  return table.ToString(console, 2);
}

// Whatever a stage runs on; nothing of a model that cannot be split so.
std::vector<std::pair<int, StageLayout>> Layouts(const proto::Job& job,
                                                 const ModelConfig& model,
                                                 int64_t seq_len) {
  std::vector<std::pair<int, StageLayout>> out;
  for (int i = 0; i < job.stages_size(); ++i) {
    const MeshShape mesh = MeshOf(job, i);
    if (mesh.ranks() == 1) continue;
    absl::StatusOr<StageLayout> layout = LayOut(job, i, model, seq_len, mesh);
    if (!layout.ok() || !PartOf(*layout, {}).ok()) continue;
    out.emplace_back(i, *std::move(layout));
  }
  return out;
}

Json RangeJson(const IndexRange& range) { return {range.begin, range.end}; }

}  // namespace

std::string RankWords(const proto::Job& job, const ModelConfig& model) {
  const MeshShape shape = {.data = job.parallel().data(),
                           .tensor = job.parallel().tensor(),
                           .layer = job.parallel().layer()};
  if (shape.ranks() == 1) return "";
  const int rows = job.budget().batch() / shape.data;
  const std::string words =
      absl::StrCat(shape.ranks(), ": ", FormatMesh(shape), "; ", rows,
                   rows == 1 ? " row" : " rows", " of a step each");
  StageLayout layout;
  layout.model = model;
  layout.mesh = shape;
  for (const MeshPlace& place : PlacesOf(shape)) {
    const absl::StatusOr<RankPart> part = PartOf(layout, place);
    if (!part.ok()) {
      return absl::StrCat(words, "\nnot possible: ", part.status().message());
    }
  }
  return words;
}

std::string RankTables(const proto::Job& job, const ModelConfig& model,
                       int64_t seq_len, const Console& console) {
  std::string out, symbols;
  MeshShape shown;
  for (const auto& [i, layout] : Layouts(job, model, seq_len)) {
    const MeshShape& mesh = layout.mesh;
    absl::StrAppend(
        &out, "\n",
        Styled(absl::StrCat("Ranks of stage ", i + 1, ": ", FormatMesh(mesh)),
               Style::kBold, console.StyledOut()),
        "\n");
    if (!(mesh == shown)) {
      absl::StrAppend(&out, PartTable(layout, console));
      if (mesh.layer > 1) {
        absl::StrAppend(&out, Paragraph("layers evenly here; a run shares them "
                                        "out by their measured times",
                                        console, 2));
      }
      absl::StrAppend(&out, "\n");
      shown = mesh;
    }
    absl::StrAppend(&out, TrafficTable(layout, console));
    const int places = mesh.layer * mesh.tensor;
    if (places > kMostPlaces) {
      absl::StrAppend(&out, "  and ", places - kMostPlaces, " more\n");
    }
    const TrafficFormulas formulas = FormulasOf(layout, {});
    FactList list;
    list.Add("tensor", formulas.tensor);
    list.Add("data", formulas.data);
    list.Add("layer", formulas.layer);
    list.Add("world", formulas.world);
    if (symbols != SymbolWords(layout)) {
      symbols = SymbolWords(layout);
      list.Add("where", symbols);
    }
    absl::StrAppend(&out, "  bytes that a rank sends in a step\n",
                    list.ToString(console, 4, kNameColumns));
  }
  return out;
}

Json RankJson(const proto::Job& job, const ModelConfig& model,
              int64_t seq_len) {
  Json stages = Json::array();
  for (const auto& [i, layout] : Layouts(job, model, seq_len)) {
    const MeshShape& mesh = layout.mesh;
    const TrafficFormulas formulas = FormulasOf(layout, {});
    Json stage;
    stage["stage"] = i;
    stage["data"] = mesh.data;
    stage["layer"] = mesh.layer;
    stage["tensor"] = mesh.tensor;
    stage["sent_formula"] = {{"tensor", formulas.tensor},
                             {"data", formulas.data},
                             {"layer", formulas.layer},
                             {"world", formulas.world},
                             {"where", SymbolWords(layout)}};
    stage["ranks"] = Json::array();
    std::vector<absl::StatusOr<RankPart>> parts;
    for (const MeshPlace& place : PlacesOf(mesh)) {
      parts.push_back(PartOf(layout, place));
    }
    for (int rank = 0; rank < mesh.ranks(); ++rank) {
      const MeshPlace place = PlaceOf(mesh, rank);
      const auto& part = parts[rank % (mesh.layer * mesh.tensor)];
      if (!part.ok()) continue;
      const RankBytes bytes = BytesOf(layout, *part, place);
      stage["ranks"].push_back(
          {{"rank", rank},
           {"data", place.data},
           {"layer", place.layer},
           {"tensor", place.tensor},
           {"layers", RangeJson(part->layers)},
           {"query_heads", RangeJson(part->split.heads)},
           {"key_value_heads", RangeJson(part->split.kv_heads)},
           {"key_value_shared", part->split.kv_shared},
           {"mlp_columns", RangeJson(part->columns)},
           {"vocabulary", RangeJson(part->vocabulary)},
           {"weight_bytes", bytes.weights},
           {"trained_bytes", bytes.trained},
           {"gradient_bytes", bytes.gradients},
           {"moment_bytes", bytes.moments},
           {"sent_bytes",
            {{"tensor", bytes.sent.tensor},
             {"data", bytes.sent.data},
             {"layer", bytes.sent.layer},
             {"world", bytes.sent.world}}}});
    }
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace caracal
