#include "jobs/coordinator/engine/durable_evaluations.h"

#include <iterator>

namespace caracal {

void DurableEvaluations::Describe(const EvaluationRecord& record,
                                  EvaluationView* view) {
  view->id = record.id;
  view->request = record.request;
  view->phase = record.phase;
  view->reason = record.reason;
  view->created = record.created;
  view->changed = record.changed;
}

void DurableEvaluations::SetPart(int64_t number, PartState state,
                                 Entry* entry) {
  EvaluationView& view = entry->view;
  if (number >= view.parts) {
    view.parts = number + 1;
    entry->parts.resize(view.parts, PartState::kPending);
  }
  PartState& part = entry->parts[number];
  view.leased -= part == PartState::kLeased;
  view.done -= part == PartState::kDone;
  part = state;
  view.leased += part == PartState::kLeased;
  view.done += part == PartState::kDone;
}

EvaluationView DurableEvaluations::ViewOf(const Entry& entry) {
  EvaluationView view = entry.view;
  if (IsFinal(view.phase)) view.leased = 0;
  return view;
}

void DurableEvaluations::Load(
    const std::vector<EvaluationRecord>& evaluations) {
  const std::lock_guard lock(mutex_);
  for (const EvaluationRecord& record : evaluations) {
    Entry& entry = evaluations_[record.id];
    Describe(record, &entry.view);
    for (size_t i = 0; i < record.parts.size(); ++i) {
      SetPart(static_cast<int64_t>(i), record.parts[i].state, &entry);
    }
  }
}

void DurableEvaluations::Apply(const EvaluationWrite& write) {
  const std::lock_guard lock(mutex_);
  for (const EvaluationRecord& record : write.saved) {
    Describe(record, &evaluations_[record.id].view);
  }
  for (const StoredPart& part : write.parts) {
    SetPart(part.part, part.record.state, &evaluations_[part.evaluation]);
  }
  for (const EvaluationId id : write.removed) evaluations_.erase(id);
}

std::optional<EvaluationView> DurableEvaluations::Get(EvaluationId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = evaluations_.find(id);
  if (found == evaluations_.end()) return std::nullopt;
  return ViewOf(found->second);
}

EvaluationPage DurableEvaluations::List(const std::string& owner,
                                        std::optional<EvaluationPhase> phase,
                                        EvaluationId from,
                                        int64_t limit) const {
  EvaluationPage page;
  const std::lock_guard lock(mutex_);
  auto end = from == 0 ? evaluations_.end() : evaluations_.upper_bound(from);
  while (end != evaluations_.begin()) {
    const Entry& entry = (--end)->second;
    if ((!owner.empty() && entry.view.request.owner != owner) ||
        (phase.has_value() && entry.view.phase != *phase)) {
      continue;
    }
    if (static_cast<int64_t>(page.evaluations.size()) == limit) {
      page.next = entry.view.id;
      break;
    }
    page.evaluations.push_back(ViewOf(entry));
  }
  return page;
}

EvaluationStats DurableEvaluations::Stats() const {
  EvaluationStats stats;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : evaluations_) {
    const EvaluationView& view = entry.view;
    ++stats.evaluations[static_cast<int>(view.phase)];
    if (IsFinal(view.phase)) continue;
    stats.pending_parts += view.parts - view.leased - view.done;
    stats.leased_parts += view.leased;
  }
  return stats;
}

}  // namespace caracal
