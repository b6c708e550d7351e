// Two lists joined by component.
#include "eval/report/component_rows.h"

#include <algorithm>

namespace caracal {
namespace {

constexpr struct {
  const char* component;
  const char* name;
} kComponents[] = {
    {"swa", "window"}, {"la", "linear part"}, {"sinks", "sinks"}};

std::string NameOfComponent(const std::string& component) {
  for (const auto& known : kComponents) {
    if (component == known.component) return known.name;
  }
  return component;
}

ComponentRow& RowOf(std::vector<ComponentRow>& rows,
                    const std::string& component) {
  const auto it = std::find_if(
      rows.begin(), rows.end(),
      [&](const ComponentRow& row) { return row.component == component; });
  if (it != rows.end()) return *it;
  rows.push_back({component, NameOfComponent(component), {}, {}});
  return rows.back();
}

}  // namespace

std::vector<ComponentRow> ComponentRows(const AttributionResult& result) {
  std::vector<ComponentRow> rows;
  for (const auto& known : kComponents) RowOf(rows, known.component);
  for (const ComponentDrop& drop : result.drop) {
    RowOf(rows, drop.component).drop = drop.drop;
  }
  const Interval& all = result.what_attention_brings;
  for (const ComponentValue& part : result.shapley) {
    ComponentRow& row = RowOf(rows, part.component);
    row.shapley = part.value;
    if (all.excludes_zero()) row.share = part.value.mean / all.mean;
  }
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [](const ComponentRow& row) {
                              return !row.drop.measured() &&
                                     !row.shapley.measured();
                            }),
             rows.end());
  if (result.shapley.empty()) return rows;
  rows.push_back({"all", "all of attention", {}, all});
  if (all.excludes_zero()) rows.back().share = 1;
  return rows;
}

}  // namespace caracal
