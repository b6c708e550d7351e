#include "jobs/coordinator/web/web_server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "jobs/coordinator/access/loopback.h"
#include "jobs/coordinator/rpc/stream_limit.h"
#include "jobs/coordinator/web/bounded_pool.h"
#include "jobs/coordinator/web/connection.h"
#include "jobs/coordinator/web/embedded_file.h"
#include "jobs/coordinator/web/event_stream.h"
#include "jobs/coordinator/web/guard.h"
#include "jobs/coordinator/web/prometheus.h"
#include "jobs/coordinator/web/sign_in.h"

namespace caracal {
namespace {

using httplib::Request;
using httplib::Response;
using HandlerResponse = httplib::Server::HandlerResponse;

constexpr size_t kLongestBody = 2 << 20;
constexpr size_t kMostWaiting = 128;
constexpr int kMostRequests = 200;  // of one connection

// Nothing but our own files, and nobody around us.
constexpr std::pair<const char*, const char*> kHeaders[] = {
    {"Content-Security-Policy",
     "default-src 'self'; img-src 'self' data:; object-src 'none'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

WebRequest FromLibrary(const Request& in, const std::string& cookie) {
  WebRequest out;
  out.method = in.method;
  out.path = in.path;
  for (const auto& [name, value] : in.params) out.query[name] = value;
  for (const auto& [name, value] : in.headers) {
    std::string& all = out.headers[absl::AsciiStrToLower(name)];
    absl::StrAppend(&all, all.empty() ? "" : ", ", value);
  }
  out.body = in.body;
  out.session = CookieOf(out.Header("cookie"), cookie);
  return out;
}

bool IsOfSession(const WebRequest& request) {
  return request.path == "/api/session" ||
         absl::StartsWith(request.path, "/api/session/");
}

void SetHeaders(const std::vector<std::pair<std::string, std::string>>& own,
                Response* out) {
  for (const auto& [name, value] : kHeaders) {
    out->headers.erase(name);
    out->set_header(name, value);
  }
  for (const auto& [name, value] : own) {
    out->headers.erase(name);
    out->set_header(name, value);
  }
}

void ToLibrary(const WebAnswer& answer, Response* out) {
  out->status = answer.status;
  SetHeaders(answer.headers, out);
  out->set_content(answer.body, answer.type);
}

// Takes connections as the library does, but with limits on each.
class LimitedServer final : public httplib::Server {
 public:
  LimitedServer(ConnectionLimits limits, int threads)
      : limits_(std::move(limits)) {
    new_task_queue = [this, threads] {
      auto* const pool = new BoundedPool(threads, kMostWaiting);
      limits_.give_way = [pool] { return pool->GiveWay(); };
      return pool;  // of the library, which ends its tasks first
    };
  }

  // Ends what connections wait for.
  void HangUp() {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    for (const socket_t socket : open_) ::shutdown(socket, SHUT_RDWR);
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    {
      absl::MutexLock lock(&mutex_);
      open_.insert(socket);
      if (closing_) ::shutdown(socket, SHUT_RDWR);
    }
    Connection connection(socket, limits_);
    bool done = false;
    for (int i = 1; !done && connection.AwaitRequest(); ++i) {
      const bool last = i == kMostRequests;
      bool close = false;
      const bool ok = process_request(
          connection, last, close, [&connection](Request& request) {
            connection.AllowBody();
            // Bodies are read as they are: what a form, as which curl sends
            // its data, may hold at most is far too short for a job.
            request.headers.erase("Content-Type");
            // A list of ranges can ask for more than there is.
            request.ranges.clear();
            const bool has_body = request.has_header("Content-Length") ||
                                  request.has_header("Transfer-Encoding");
            // Where no length is told there is none (RFC 9112, section 6.3);
            // the library would wait for the connection's end.
            if (!has_body) request.set_header("Content-Length", "0");
            // A body that was refused is still to come.
            if (request.method != "GET" || has_body) {
              request.headers.erase("Connection");
              request.set_header("Connection", "close");
            }
          });
      done = !ok || close || last;
    }
    {
      absl::MutexLock lock(&mutex_);
      open_.erase(socket);
    }
    ::shutdown(socket, SHUT_RDWR);
    ::close(socket);
    return true;
  }

  ConnectionLimits limits_;  // as they are once there is a pool
  absl::Mutex mutex_;
  std::set<socket_t> open_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

struct WebServer::Parts {
  Parts(const WebServerOptions& given, const WebSources& from)
      : options(given),
        sources(from),
        api(from),
        limit("events", given.most_streams),
        server({.request = given.request_patience},
               given.threads + given.most_streams) {}

  HandlerResponse Route(const Request& request, Response& response);
  bool RouteFile(const WebRequest& request, Response* response);
  void RouteEvents(const WebRequest& request, JobId job, Response* response);
  WebAnswer Health() const;
  // None for requests that may go on.
  std::optional<WebAnswer> TooFast(const WebRequest& request);
  void Count(const Response& response) {
    const int kind = response.status / 100;
    if (kind >= 1 && kind <= 5) ++counts.requests[kind - 1];
  }

  const WebServerOptions options;
  const WebSources sources;
  WebApi api;
  StreamLimit limit;
  WebCounts counts;
  LimitedServer server;
  std::string address, host, cookie;
  std::optional<SignIn> sign_in;  // once the port is known
  absl::Mutex mutex;
  std::set<std::shared_ptr<EventStream>> streams ABSL_GUARDED_BY(mutex);
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::thread thread;
};

bool WebServer::Parts::RouteFile(const WebRequest& request,
                                 Response* response) {
  // Every view of the page is one document, which looks at its own address.
  const std::string path = request.path == "/" ? "/index.html" : request.path;
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    if (file.path != path) continue;
    const bool known = request.Header("if-none-match") == file.etag;
    ToLibrary({.status = known ? 304 : 200,
               .type = std::string(file.type),
               .body = known ? "" : std::string(file.contents),
               .headers = {{"ETag", std::string(file.etag)},
                           {"Cache-Control", "no-cache"}}},
              response);
    return true;
  }
  return false;
}

void WebServer::Parts::RouteEvents(const WebRequest& request, JobId job,
                                   Response* response) {
  const absl::StatusOr<Caller> who =
      Authorize(request, *sources.access, Role::kViewer);
  if (!who.ok()) return ToLibrary(Refusal(who.status()), response);
  if (!sources.coordinator->Get(job).has_value()) {
    return ToLibrary(
        Refusal(absl::NotFoundError(absl::StrCat("there is no job ", job))),
        response);
  }
  uint64_t after = 0;
  std::string from = request.Header("last-event-id");
  if (from.empty()) from = request.Query("after");
  if (!from.empty() && !absl::SimpleAtoi(from, &after)) {
    return ToLibrary(
        Refusal(absl::InvalidArgumentError(absl::StrCat(
            "after: is '", from, "', expected a sequence number"))),
        response);
  }
  if (request.method == "HEAD") {
    return ToLibrary({.type = "text/event-stream"}, response);
  }
  const absl::StatusOr<StreamLimit::Place> place = limit.Enter(who->name);
  if (!place.ok()) return ToLibrary(Refusal(place.status()), response);
  ++counts.streams;
  const auto stream = std::make_shared<EventStream>(sources.hub, job, after);
  {
    absl::MutexLock lock(&mutex);
    streams.insert(stream);
    if (stopping) stream->Stop();
  }
  response->status = 200;
  // Not with a body that has no end: the connection is the stream's.
  SetHeaders({{"X-Accel-Buffering", "no"}}, response);
  const auto begun = std::make_shared<bool>(false);
  response->set_chunked_content_provider(
      "text/event-stream",
      [this, stream, begun, request](size_t, httplib::DataSink& sink) {
        EventStream::Piece piece;
        if (!std::exchange(*begun, true)) {
          // The reader learns that it is heard before anything happens.
          piece.text = "retry: 1000\n\n";
        } else {
          piece = stream->Next(options.stream_patience);
        }
        // Who has signed out meanwhile, or was revoked, hears no more.
        if (!Authorize(request, *sources.access, Role::kViewer).ok()) {
          piece = {.text = "", .last = true};
        }
        if (!piece.text.empty() &&
            !sink.write(piece.text.data(), piece.text.size())) {
          return false;
        }
        if (piece.last) sink.done();
        return true;
      },
      [this, stream, place = *place](bool) mutable {
        {
          absl::MutexLock lock(&mutex);
          streams.erase(stream);
        }
        --counts.streams;
        place = nullptr;
      });
}

WebAnswer WebServer::Parts::Health() const {
  absl::Status health = sources.coordinator->Health();
  if (health.ok() && sources.accepting) health = sources.accepting();
  if (health.ok()) return {.type = "text/plain", .body = "ok\n"};
  return {.status = 503,
          .type = "text/plain",
          .body = absl::StrCat(health.message(), "\n")};
}

std::optional<WebAnswer> WebServer::Parts::TooFast(const WebRequest& request) {
  // Attempts to sign in have a limit of their own; files cost nothing.
  if (sources.rate == nullptr || IsOfSession(request) ||
      !(absl::StartsWith(request.path, "/api/") ||
        request.path == "/metrics")) {
    return std::nullopt;
  }
  const absl::StatusOr<Caller> who =
      Authorize(request, *sources.access, Role::kViewer);
  // Those whom nobody knows share what their machine, this one, may ask.
  const absl::Duration wait =
      sources.rate->Take(who.ok() ? absl::StrCat("user ", who->name) : "page");
  if (wait <= absl::ZeroDuration()) return std::nullopt;
  const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
      "too many calls: try again in ",
      absl::FormatDuration(absl::Ceil(wait, absl::Milliseconds(1)))));
  if (sources.audit != nullptr) {
    sources.audit->Write(
        {.caller = who.ok() ? who->name : "",
         .role = who.ok() ? NameOf(who->role) : "",
         .peer = "page",
         .method = absl::StrCat(request.method, " ", AsValidUtf8(request.path)),
         .outcome = status});
  }
  WebAnswer answer = Refusal(status);
  answer.headers.push_back(
      {"Retry-After",
       absl::StrCat(absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1))))});
  return answer;
}

HandlerResponse WebServer::Parts::Route(const Request& in, Response& response) {
  const WebRequest request = FromLibrary(in, cookie);
  if (const absl::Status status = CheckOrigin(request, host); !status.ok()) {
    ToLibrary(Refusal(status), &response);
    return HandlerResponse::Handled;
  }
  if (const auto answer = TooFast(request); answer.has_value()) {
    ToLibrary(*answer, &response);
    return HandlerResponse::Handled;
  }
  // Handled below, when its body has come.
  if (request.method == "POST" && absl::StartsWith(request.path, "/api/")) {
    return HandlerResponse::Unhandled;
  }
  if (request.method != "GET" && request.method != "HEAD") {
    ToLibrary(Refusal(absl::UnimplementedError(absl::StrCat(
                  "there is no ", request.method, " ", request.path))),
              &response);
    return HandlerResponse::Handled;
  }
  const std::optional<JobPath> job = ParseJobPath(request.path);
  if (request.path == "/metrics") {
    const absl::Status status =
        Authorize(request, *sources.access, Role::kViewer).status();
    ToLibrary(status.ok()
                  ? WebAnswer{.type = kPrometheusType,
                              .body = PrometheusText(
                                  sources.coordinator->Stats(),
                                  sources.evaluations != nullptr
                                      ? sources.evaluations->Stats()
                                      : EvaluationStats(),
                                  sources.submitter->Counts(),
                                  {.store = sources.coordinator->Health(),
                                   .audit = sources.audit != nullptr
                                                ? sources.audit->health()
                                                : absl::OkStatus(),
                                   .certificate_expires =
                                       sources.certificate_expires},
                                  counts)}
                  : Refusal(status),
              &response);
  } else if (request.path == "/healthz") {
    ToLibrary(Health(), &response);
  } else if (job.has_value() && job->what == "events") {
    RouteEvents(request, job->id, &response);
  } else if (IsOfSession(request)) {
    ToLibrary(sign_in->Handle(request), &response);
  } else if (!RouteFile(request, &response)) {
    ToLibrary(api.Handle(request), &response);
  }
  return HandlerResponse::Handled;
}

WebServer::WebServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

WebServer::~WebServer() {
  Parts& p = *parts_;
  {
    absl::MutexLock lock(&p.mutex);
    p.stopping = true;
    for (const auto& stream : p.streams) stream->Stop();
  }
  p.server.stop();
  p.server.HangUp();
  if (p.thread.joinable()) p.thread.join();
}

const std::string& WebServer::address() const { return parts_->address; }

absl::StatusOr<std::unique_ptr<WebServer>> WebServer::Start(
    const WebServerOptions& options, const WebSources& sources) {
  const size_t colon = options.listen.rfind(':');
  int port = -1;
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(options.listen.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--web: is '", options.listen, "', expected HOST:PORT"));
  }
  auto parts = std::make_unique<Parts>(options, sources);
  Parts& p = *parts;
  p.host = HostOf(options.listen);
  if (!IsLoopbackHost(p.host)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--web: is '", options.listen, "', expected an address of this ",
        "machine alone (127.0.0.1, [::1] or localhost): whoever reaches the ",
        "page may change jobs. From elsewhere, use ssh -L"));
  }
  p.server.set_payload_max_length(kLongestBody);
  p.server.set_tcp_nodelay(true);
  // A port that is taken is an error, not shared.
  p.server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  p.server.set_pre_routing_handler([&p](const Request& in, Response& out) {
    const HandlerResponse done = p.Route(in, out);
    if (done == HandlerResponse::Handled) p.Count(out);
    return done;
  });
  p.server.Post("/api/[a-z0-9/]*", [&p](const Request& in, Response& out) {
    const WebRequest request = FromLibrary(in, p.cookie);
    ToLibrary(IsOfSession(request) ? p.sign_in->Handle(request)
                                   : p.api.Handle(request),
              &out);
    p.Count(out);
  });
  // What the library answers by itself.
  p.server.set_error_handler(
      httplib::Server::HandlerWithResponse([&p](const Request&, Response& out) {
        if (!out.body.empty()) return HandlerResponse::Unhandled;
        WebAnswer answer = Refusal(absl::InvalidArgumentError(
            out.status == 413 ? "the request is too long"
                              : "the request can't be read"));
        if (out.status >= 400) answer.status = out.status;
        ToLibrary(answer, &out);
        p.Count(out);
        return HandlerResponse::Handled;
      }));
  if (port == 0) {
    port = p.server.bind_to_any_port(p.host);
  } else if (!p.server.bind_to_port(p.host, port)) {
    port = -1;
  }
  if (port < 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "can't listen on ", options.listen,
        " for the page: is another caracald running? --web names another "
        "address, --web '' does without"));
  }
  p.address = absl::StrCat(options.listen.substr(0, colon + 1), port);
  p.cookie = SessionCookie(port);
  p.sign_in.emplace(sources.access, sources.audit, options.clock, p.cookie);
  p.thread = std::thread([&p] { p.server.listen_after_bind(); });
  // Else it may be told to stop before it has begun.
  while (!p.server.is_running()) std::this_thread::yield();
  return std::unique_ptr<WebServer>(new WebServer(std::move(parts)));
}

}  // namespace caracal
