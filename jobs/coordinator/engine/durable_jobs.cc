#include "jobs/coordinator/engine/durable_jobs.h"

#include <iterator>
#include <utility>

namespace caracal {

void DurableJobs::Save(std::vector<JobRecord> jobs) {
  const std::lock_guard lock(mutex_);
  for (JobRecord& job : jobs) {
    const auto [at, is_new] = jobs_.try_emplace(job.id);
    JobRecord& known = at->second;
    if (!is_new) {
      counts_.Count(known, -1);
      // Of when it was written; what was told since is newer.
      job.progress = std::move(known.progress);
    }
    known = std::move(job);
    counts_.Count(known, 1);
  }
}

void DurableJobs::Remove(const std::vector<JobId>& jobs) {
  const std::lock_guard lock(mutex_);
  for (const JobId id : jobs) {
    const auto job = jobs_.find(id);
    if (job == jobs_.end()) continue;
    counts_.Count(job->second, -1);
    jobs_.erase(job);
  }
}

void DurableJobs::SetProgress(JobId id, const JobProgress& progress) {
  const std::lock_guard lock(mutex_);
  const auto job = jobs_.find(id);
  if (job != jobs_.end()) job->second.progress = progress;
}

std::optional<JobRecord> DurableJobs::Get(JobId id) const {
  const std::lock_guard lock(mutex_);
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return std::nullopt;
  return job->second;
}

JobPage DurableJobs::List(const JobFilter& filter, JobId from,
                          int64_t limit) const {
  JobPage page;
  const std::lock_guard lock(mutex_);
  auto end = from == 0 ? jobs_.end() : jobs_.upper_bound(from);
  while (end != jobs_.begin()) {
    const JobRecord& job = std::prev(end)->second;
    const bool wanted =
        (filter.owner.empty() || job.request.owner == filter.owner) &&
        (!filter.state.has_value() || job.state == *filter.state);
    if (wanted) {
      if (static_cast<int64_t>(page.jobs.size()) == limit) {
        page.next = job.id;
        break;
      }
      page.jobs.push_back(job);
    }
    --end;
  }
  return page;
}

JobFigures DurableJobs::Figures() const {
  const std::lock_guard lock(mutex_);
  JobFigures out = {.jobs = counts_.by_state(),
                    .used_slots = counts_.used_slots()};
  for (const JobId id : counts_.holders()) {
    const JobRecord& job = jobs_.at(id);
    out.holders.push_back({id, job.request.name, job.progress, job.changed});
  }
  return out;
}

std::vector<JobId> DurableJobs::EndedBefore(absl::Time when, JobId after,
                                            int64_t limit) const {
  std::vector<JobId> out;
  const std::lock_guard lock(mutex_);
  for (auto it = jobs_.upper_bound(after);
       it != jobs_.end() && static_cast<int64_t>(out.size()) < limit; ++it) {
    const JobRecord& job = it->second;
    if (IsFinal(job.state) && job.changed < when) out.push_back(job.id);
  }
  return out;
}

}  // namespace caracal
