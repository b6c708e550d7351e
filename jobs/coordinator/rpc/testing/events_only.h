// For tests: a coordinator's output that starts nothing.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_TESTING_EVENTS_ONLY_H_
#define CARACAL_JOBS_COORDINATOR_RPC_TESTING_EVENTS_ONLY_H_

#include <vector>

#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/event_hub.h"

namespace caracal {

// Brings events to those who watch. The hub outlives it.
class EventsOnly : public CoordinatorOutput {
 public:
  explicit EventsOnly(EventHub* hub) : hub_(hub) {}
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>& events) override {
    hub_->Happened(events);
  }

 private:
  EventHub* const hub_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_TESTING_EVENTS_ONLY_H_
