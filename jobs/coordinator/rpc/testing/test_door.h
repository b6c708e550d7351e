// For tests: a door that is open until there is a token, and its parts.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_TESTING_TEST_DOOR_H_
#define CARACAL_JOBS_COORDINATOR_RPC_TESTING_TEST_DOOR_H_

#include <string>

#include "core/base/fake_clock.h"
#include "jobs/coordinator/rpc/door.h"

namespace caracal {

struct TestDoor {
  // `rate`: calls a second of each caller; 0: no limit.
  explicit TestDoor(double rate_per_second = 0, AuditLog* audit = nullptr)
      : rate(rate_per_second, &clock), door(&access, &rate, audit) {}

  // The token of a new user.
  std::string Add(const std::string& name, Role role) {
    TokenRecord record = {.id = ++last, .name = name, .role = role};
    const std::string token = NewToken();
    record.hash = HashOfToken(token);
    tokens.Add(record);
    return token;
  }

  FakeClock clock;
  TokenBook tokens;
  int64_t last = 0;
  Access access{{}, &tokens, &clock};
  RateLimit rate;
  Door door;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_TESTING_TEST_DOOR_H_
