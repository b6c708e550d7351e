// A request to the page's server and what is answered, without the library
// that reads and writes them.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_REQUEST_H_
#define CARACAL_JOBS_COORDINATOR_WEB_REQUEST_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "jobs/spec/problem.h"

namespace caracal {

struct WebRequest {
  std::string method;  // "GET", ...
  std::string path;    // decoded, begins with '/'
  std::map<std::string, std::string> query;
  // By name in lower case; of several with one name, all, joined by ", ".
  std::map<std::string, std::string> headers;
  std::string body;
  std::string session = {};  // of the page's cookie; "": none

  // "" when there is none.
  std::string Header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  std::string Query(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? "" : found->second;
  }
};

struct WebAnswer {
  int status = 200;
  std::string type = "application/json";
  std::string body = "";
  // Beside those that every answer has; one of these comes instead.
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// The value of a cookie in a header Cookie: "" when there is none, or several
// of the name: which one is ours nobody knows.
std::string CookieOf(absl::string_view header, absl::string_view name);

// The status of HTTP that says the same.
int HttpStatus(const absl::Status& status);

// {"error": {"code", "message", "problems": [{"field", "message", "where"}]}}
WebAnswer Refusal(const absl::Status& status,
                  const std::vector<Problem>& problems = {});

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_REQUEST_H_
