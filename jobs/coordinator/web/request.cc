#include "jobs/coordinator/web/request.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/utf8.h"

namespace caracal {

using Json = nlohmann::ordered_json;

std::string CookieOf(absl::string_view header, absl::string_view name) {
  absl::string_view found;
  int count = 0;
  for (absl::string_view cookie : absl::StrSplit(header, ';')) {
    cookie = absl::StripAsciiWhitespace(cookie);
    if (absl::ConsumePrefix(&cookie, name) &&
        absl::ConsumePrefix(&cookie, "=")) {
      found = cookie;
      ++count;
    }
  }
  return count == 1 ? std::string(found) : "";
}

int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnimplemented:
      return 405;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return 503;
    default:
      return 500;
  }
}

WebAnswer Refusal(const absl::Status& status,
                  const std::vector<Problem>& problems) {
  Json error = {{"code", absl::StatusCodeToString(status.code())},
                {"message", AsValidUtf8(status.message())}};
  for (const Problem& problem : problems) {
    error["problems"].push_back({{"field", AsValidUtf8(problem.field)},
                                 {"message", AsValidUtf8(problem.message)},
                                 {"where", AsValidUtf8(problem.where)}});
  }
  WebAnswer answer;
  answer.status = HttpStatus(status);
  answer.body = Json{{"error", error}}.dump();
  return answer;
}

}  // namespace caracal
