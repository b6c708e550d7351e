#include "jobs/coordinator/engine/coordinator.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "jobs/coordinator/engine/event_json.h"
#include "jobs/coordinator/engine/one_answer.h"

namespace caracal {
namespace {

constexpr absl::Duration kLongestSleep = absl::Seconds(1);

// Whether a line of metrics, as ranks write them, has a number for this. With
// the state's lock held, so it is not parsed.
bool HasNumber(absl::string_view line, absl::string_view key) {
  const std::string name = absl::StrCat("\"", key, "\":");
  const size_t at = line.find(name);
  return at != absl::string_view::npos &&
         !absl::StartsWith(line.substr(at + name.size()), "null");
}

}  // namespace

void Coordinator::News::Add(const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  metrics = lines.back();
  for (size_t i = 0; i < kNowAndThen.size(); ++i) {
    const auto has = [i](const std::string& line) {
      return HasNumber(line, kNowAndThen[i]);
    };
    const auto last = std::find_if(lines.rbegin(), lines.rend(), has);
    if (last != lines.rend()) last_with[i] = *last;
  }
}

Coordinator::Coordinator(const CoordinatorLimits& limits, JobStore* store,
                         Clock* clock, CoordinatorOutput* output,
                         absl::Duration retry)
    : store_(store),
      clock_(clock),
      start_(clock->WallTime() - clock->Now()),
      output_(output),
      state_(limits),
      queue_(store, retry, [output](const absl::Status& health) {
        output->StoreChanged(health);
      }) {}

absl::Status Coordinator::Load() {
  ASSIGN_OR_RETURN(StoreContents contents, store_->Load());
  const std::lock_guard lock(mutex_);
  loaded_ = std::move(contents);
  return absl::OkStatus();
}

uint64_t Coordinator::database() const {
  const std::lock_guard lock(mutex_);
  return loaded_.database;
}

bool Coordinator::had_gangs() const {
  const std::lock_guard lock(mutex_);
  const auto had = [](const JobRecord& job) { return job.epoch > 0; };
  return loaded_.jobs.size() + 1 < loaded_.next_id ||
         std::any_of(loaded_.jobs.begin(), loaded_.jobs.end(), had);
}

void Coordinator::NumberFrom(JobId least) {
  const std::lock_guard lock(mutex_);
  loaded_.next_id = std::max(loaded_.next_id, least);
}

void Coordinator::Recover() {
  {
    const std::lock_guard lock(mutex_);
    recovered_ = true;
    last_sequence_ = shown_sequence_ = loaded_.last_sequence;
    durable_.Save(loaded_.jobs);
    // With the lock: nobody sees it empty.
    Effects effects;
    state_.Recover(std::exchange(loaded_.jobs, {}), loaded_.next_id, Now(),
                   &effects);
    Commit(effects, Now(), nullptr);
  }
  changed_.notify_all();
}

template <typename Event>
void Coordinator::Do(Event event, std::function<void()> then,
                     Answering answering, JobId about, CommitQueue::Held held) {
  bool committed = true;
  {
    std::unique_lock lock(mutex_);
    AwaitRecovery(lock);
    const absl::Time now = Now();
    Effects effects;
    event(state_, now, &effects);
    for (const JobId id : effects.progressed) {
      durable_.SetProgress(id, state_.Find(id)->progress);
    }
    committed = answering != Answering::kAtOnce || !effects.empty() ||
                unstored_.contains(about);
    if (committed) {
      Commit(effects, now, std::move(then), answering == Answering::kHere,
             std::move(held));
    }
  }
  if (answering == Answering::kHere) queue_.CommitHere();
  if (!committed && then) then();
}

template <typename Result, typename Event>
void Coordinator::Ask(Event event, std::function<void(Result)> reply,
                      Answering answering, JobId about) {
  auto result = std::make_shared<Result>();
  Do([&](CoordinatorState& state, absl::Time now,
         Effects* effects) { *result = event(state, now, effects); },
     [result, reply = std::move(reply)] { reply(*result); }, answering, about);
}

absl::Status Coordinator::CheckStore() const {
  const absl::Status health = Health();
  if (health.ok()) return health;
  return absl::UnavailableError(
      absl::StrCat("changes can't be stored now: ", health.message()));
}

template <typename Result, typename Event>
void Coordinator::Change(Event event, std::function<void(Result)> reply,
                         Answering answering) {
  if (absl::Status status = CheckStore(); !status.ok()) {
    return reply(std::move(status));
  }
  const auto answer = std::make_shared<OneAnswer<Result>>(std::move(reply));
  Do([&](CoordinatorState& state, absl::Time now,
         Effects* effects) { answer->result = event(state, now, effects); },
     [answer] { answer->Stored(); }, answering, 0,
     [answer](const absl::Status& why) { answer->Held(why); });
}

void Coordinator::Commit(const Effects& effects, absl::Time now,
                         std::function<void()> then, bool here,
                         CommitQueue::Held held) {
  StoreBatch batch = BatchOf(effects, now);
  std::vector<std::pair<GangOrder, JobRecord>> orders;
  for (const GangOrder& order : effects.orders) {
    const JobRecord* job = state_.Find(order.job);
    orders.emplace_back(order, job != nullptr ? *job : JobRecord());
  }
  std::vector<StoredEvent> events = batch.events;
  CountUnstored(batch.saved, events, 1);
  std::vector<JobState> entered;
  for (const JobTransition& t : effects.transitions) entered.push_back(t.to);
  std::function<void()> done =
      [this, saved = batch.saved, orders = std::move(orders),
       events = std::move(events), removed = effects.removed,
       entered = std::move(entered), then = std::move(then)]() mutable {
        Show(std::move(saved), removed, entered, events);
        for (const auto& [order, job] : orders) output_->Order(order, job);
        if (!events.empty()) output_->Happened(events);
        for (const JobId id : removed) output_->Removed(id);
        if (then) then();
      };
  if (here) {
    queue_.AddForHere(std::move(batch), std::move(done), std::move(held));
  } else {
    queue_.Add(std::move(batch), std::move(done), std::move(held));
  }
  // Else it looks at the time soon enough.
  if (state_.NextTick() < ticks_at_) changed_.notify_all();
}

void Coordinator::Show(std::vector<JobRecord> saved,
                       const std::vector<JobId>& removed,
                       const std::vector<JobState>& entered,
                       const std::vector<StoredEvent>& events) {
  {
    const std::lock_guard lock(mutex_);
    CountUnstored(saved, events, -1);
    for (const JobState state : entered) {
      ++transitions_[static_cast<int>(state)];
    }
    if (!events.empty()) shown_sequence_ = events.back().sequence;
  }
  if (!saved.empty()) durable_.Save(std::move(saved));
  if (!removed.empty()) durable_.Remove(removed);
}

void Coordinator::CountUnstored(const std::vector<JobRecord>& saved,
                                const std::vector<StoredEvent>& events,
                                int64_t by) {
  const auto count = [&](JobId id) {
    if ((unstored_[id] += by) == 0) unstored_.erase(id);
  };
  for (const JobRecord& job : saved) count(job.id);
  for (const StoredEvent& event : events) count(event.job);
}

StoreBatch Coordinator::BatchOf(const Effects& effects, absl::Time now) {
  StoreBatch batch;
  const std::set<JobId> saved(effects.saved.begin(), effects.saved.end());
  for (const JobId id : saved) {
    if (const JobRecord* job = state_.Find(id)) batch.saved.push_back(*job);
  }
  batch.removed = effects.removed;
  for (const JobId id : effects.removed) news_.erase(id);
  for (const JobTransition& t : effects.transitions) {
    batch.events.push_back({++last_sequence_, t.job, now, "state", ToJson(t)});
  }
  for (const JobGang& g : effects.gangs) {
    batch.events.push_back({++last_sequence_, g.job, now, "gang", ToJson(g)});
  }
  for (const JobMetrics& m : effects.metrics) {
    batch.events.push_back({++last_sequence_, m.job, now, "metrics", m.line});
  }
  for (const JobTuned& t : effects.tuned) {
    batch.events.push_back({++last_sequence_, t.job, now, "tuned", ToJson(t)});
  }
  for (const CurriculumDecision& d : effects.decisions) {
    batch.events.push_back(
        {++last_sequence_, d.job, now, "curriculum", ToJson(d)});
  }
  // Of a job that is gone no row tells that its number was given out.
  if (!batch.removed.empty()) batch.next_id = state_.next_id();
  return batch;
}

absl::Status Coordinator::CheckRequest(const JobRequest& request,
                                       std::vector<Problem>* problems) const {
  std::unique_lock lock(mutex_);
  AwaitRecovery(lock);
  return state_.CheckRequest(request, problems);
}

void Coordinator::Submit(const JobRequest& request,
                         std::function<void(absl::StatusOr<JobId>)> reply) {
  Change<absl::StatusOr<JobId>>(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        return state.Submit(request, now, effects);
      },
      std::move(reply), Answering::kHere);
}

void Coordinator::Cancel(JobId id, const std::string& who, Reply reply,
                         const std::string& idempotency_key) {
  Change<absl::Status>(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        return state.Cancel(id, who, now, effects, idempotency_key);
      },
      std::move(reply));
}

void Coordinator::Resume(JobId id, const std::string& idempotency_key,
                         Reply reply) {
  Change<absl::Status>(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        return state.Resume(id, idempotency_key, now, effects);
      },
      std::move(reply));
}

void Coordinator::Remove(JobId id, Reply reply) {
  Change<absl::Status>(
      [&](CoordinatorState& state, absl::Time, Effects* effects) {
        return state.Remove(id, effects);
      },
      std::move(reply));
}

void Coordinator::SetPriority(JobId id, int64_t priority, Reply reply,
                              const std::string& idempotency_key) {
  Change<absl::Status>(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        return state.SetPriority(id, priority, now, effects, idempotency_key);
      },
      std::move(reply));
}

void Coordinator::Tune(JobId id, const Tuning& tuning,
                       const std::string& idempotency_key, Reply reply) {
  Change<absl::Status>(
      [&](CoordinatorState& state, absl::Time, Effects* effects) {
        return state.Tune(id, tuning, idempotency_key, effects);
      },
      std::move(reply));
}

void Coordinator::Register(JobId id, uint64_t epoch, GangReply reply,
                           const std::vector<std::string>& hosts) {
  Ask<absl::StatusOr<GangAnswer>>(
      [&](CoordinatorState& state, absl::Time now,
          Effects* effects) -> absl::StatusOr<GangAnswer> {
        RETURN_IF_ERROR(state.Register(id, epoch, now, effects));
        if (!hosts.empty()) {
          RETURN_IF_ERROR(state.SetHosts(id, epoch, hosts, effects));
        }
        news_[id].heard = now;
        const JobRecord& job = *state.Find(id);
        return GangAnswer{job.state != JobState::kCancelling, job.lines,
                          job.tunings};
      },
      std::move(reply), Answering::kAtOnce, id);
}

void Coordinator::Heartbeat(JobId id, uint64_t epoch, const GangReport& report,
                            GangReply reply) {
  Ask<absl::StatusOr<GangAnswer>>(
      [&](CoordinatorState& state, absl::Time now,
          Effects* effects) -> absl::StatusOr<GangAnswer> {
        GangAnswer out;
        ASSIGN_OR_RETURN(out.go_on, state.Heartbeat(id, epoch, report.progress,
                                                    now, effects));
        ASSIGN_OR_RETURN(out.lines, state.Report(id, epoch, report.first,
                                                 report.lines, effects));
        out.tunings = state.Find(id)->tunings;
        news_[id].heard = now;
        news_[id].Add(report.lines);
        return out;
      },
      std::move(reply), Answering::kAtOnce, id);
}

void Coordinator::Direct(
    JobId id, uint64_t epoch, const CurriculumPoint& point,
    std::function<void(absl::StatusOr<GangDirectives>)> reply) {
  Ask<absl::StatusOr<GangDirectives>>(
      [&](CoordinatorState& state, absl::Time,
          Effects* effects) -> absl::StatusOr<GangDirectives> {
        GangDirectives out;
        ASSIGN_OR_RETURN(out.window, state.Direct(id, epoch, point, effects));
        out.tunings = state.Find(id)->tunings;
        return out;
      },
      std::move(reply), Answering::kAtOnce, id);
}

void Coordinator::ReportLeft(JobId id, uint64_t epoch,
                             const GangReport& report) {
  Do(
      [&](CoordinatorState& state, absl::Time, Effects* effects) {
        const absl::StatusOr<int64_t> last = state.ReportLeft(
            id, epoch, report.progress, report.first, report.lines, effects);
        if (last.ok()) news_[id].Add(report.lines);
      },
      nullptr, Answering::kAtOnce);
}

void Coordinator::GangFound(JobId id, uint64_t epoch) {
  Do([&](CoordinatorState& state, absl::Time now,
         Effects* effects) { state.GangFound(id, epoch, now, effects); },
     nullptr);
}

void Coordinator::GangWaits(JobId id, uint64_t epoch,
                            const std::string& reason) {
  Do(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        state.GangWaits(id, epoch, reason, now, effects);
      },
      nullptr, Answering::kAtOnce);
}

void Coordinator::GangEnded(JobId id, uint64_t epoch, GangEnd end,
                            const std::string& reason) {
  Do(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        state.GangEnded(id, epoch, end, reason, now, effects);
      },
      nullptr);
}

void Coordinator::SetClusterSilent(bool silent) {
  Do([&](CoordinatorState& state, absl::Time now,
         Effects*) { state.SetClusterSilent(silent, now); },
     nullptr, Answering::kAtOnce);
}

absl::Time Coordinator::Tick(absl::Time planned) {
  absl::Time next;
  Do(
      [&](CoordinatorState& state, absl::Time now, Effects* effects) {
        state.Tick(now, effects, planned);
        next = state.NextTick();
      },
      nullptr, Answering::kAtOnce);
  return next;
}

void Coordinator::TickUntil(const std::atomic<bool>& stop,
                            const std::function<void(absl::Duration)>& also) {
  absl::Time planned = absl::InfiniteFuture();
  while (!stop) {
    Tick(planned);
    if (also) also(kLongestSleep);
    std::unique_lock lock(mutex_);
    AwaitRecovery(lock);
    if (stop) return;  // WakeTicks() may have been called before the lock
    const absl::Time next = ticks_at_ = state_.NextTick();
    // Now and then for `stop`.
    const absl::Time now = Now();
    planned = std::clamp(next, now, now + kLongestSleep);
    changed_.wait_for(lock, absl::ToChronoMicroseconds(planned - now));
  }
}

void Coordinator::WakeTicks() {
  // With the lock: whoever has looked at `stop` waits by now.
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void Coordinator::SayWhatFor(JobRecord* job) const {
  if (!Waits(job->state)) return;
  const std::string waits = state_.WaitsFor(job->id);
  if (waits.empty()) return;
  absl::StrAppend(&job->reason, job->reason.empty() ? "" : "; ", waits);
}

std::optional<JobRecord> Coordinator::Get(JobId id) const {
  std::unique_lock lock(mutex_);
  AwaitRecovery(lock);
  std::optional<JobRecord> job = durable_.Get(id);
  if (job.has_value()) SayWhatFor(&*job);
  return job;
}

JobPage Coordinator::List(const JobFilter& filter, JobId from,
                          int64_t limit) const {
  AwaitRecovery();
  JobPage page = durable_.List(filter, from, limit);
  const std::lock_guard lock(mutex_);
  for (JobRecord& job : page.jobs) SayWhatFor(&job);
  return page;
}

std::vector<JobId> Coordinator::EndedBefore(absl::Time when, JobId after,
                                            int64_t limit) const {
  AwaitRecovery();
  return durable_.EndedBefore(when, after, limit);
}

CoordinatorStats Coordinator::Stats() const {
  CoordinatorStats out;
  AwaitRecovery();
  const JobFigures figures = durable_.Figures();
  const std::lock_guard lock(mutex_);
  const absl::Time now = Now();
  out.transitions = transitions_;
  out.slots = state_.limits().slots;
  out.used_slots = figures.used_slots;
  out.events = shown_sequence_;
  out.jobs = figures.jobs;
  for (const JobFigures::Holder& job : figures.holders) {
    GangStats gang = {
        .job = job.id, .name = job.name, .progress = job.progress};
    const auto news = news_.find(job.id);
    // One that is new has been silent since its job last changed.
    absl::Time heard = std::max(job.changed, start_);
    if (news != news_.end()) {
      heard = std::max(heard, news->second.heard);
      gang.metrics = news->second.metrics;
      gang.last_with = news->second.last_with;
    }
    gang.silent_for = std::max(now - heard, absl::ZeroDuration());
    out.gangs.push_back(std::move(gang));
  }
  return out;
}

bool Coordinator::IsForgotten(JobId id) const {
  std::unique_lock lock(mutex_);
  AwaitRecovery(lock);
  return id != 0 && id < state_.next_id() && state_.Find(id) == nullptr &&
         !durable_.Get(id).has_value();
}

std::optional<std::string> Coordinator::OwnerOf(JobId id) const {
  std::unique_lock lock(mutex_);
  AwaitRecovery(lock);
  const JobRecord* job = state_.Find(id);
  if (job == nullptr) return std::nullopt;
  return job->request.owner;
}

std::string Coordinator::LastMetrics(JobId id) const {
  const std::lock_guard lock(mutex_);
  const auto news = news_.find(id);
  return news == news_.end() ? "" : news->second.metrics;
}

void Coordinator::Events(
    JobId job, uint64_t sequence, int64_t limit,
    std::function<void(absl::StatusOr<std::vector<StoredEvent>>)> reply) {
  ReadStore(
      [=](JobStore& store) { reply(store.Events(job, sequence, limit)); });
}

}  // namespace caracal
