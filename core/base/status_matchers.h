// Test helpers for Status and StatusOr.
#ifndef CARACAL_CORE_BASE_STATUS_MATCHERS_H_
#define CARACAL_CORE_BASE_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/status.h"

namespace caracal {

inline const absl::Status& GetStatus(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& status) {
  return status.status();
}

// EXPECT_THAT(Load(path), StatusIs(absl::StatusCode::kDataLoss,
//                                  HasSubstr("layer 3")));
MATCHER_P2(StatusIs, code, message_matcher, "") {
  const absl::Status& status = GetStatus(arg);
  *result_listener << "which is " << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(
             message_matcher, std::string(status.message()), result_listener);
}

}  // namespace caracal

#define EXPECT_OK(expr)                                              \
  do {                                                               \
    const absl::Status caracal_status_ = caracal::GetStatus(expr);   \
    EXPECT_TRUE(caracal_status_.ok()) << caracal_status_.ToString(); \
  } while (false)

#define ASSERT_OK(expr)                                              \
  do {                                                               \
    const absl::Status caracal_status_ = caracal::GetStatus(expr);   \
    ASSERT_TRUE(caracal_status_.ok()) << caracal_status_.ToString(); \
  } while (false)

// ASSERT_OK_AND_ASSIGN(auto model, LoadModel(path));
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_(CARACAL_CONCAT_(caracal_statusor_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_(statusor, lhs, expr)            \
  auto statusor = (expr);                                     \
  ASSERT_TRUE(statusor.ok()) << statusor.status().ToString(); \
  lhs = std::move(statusor).value()

#endif  // CARACAL_CORE_BASE_STATUS_MATCHERS_H_
