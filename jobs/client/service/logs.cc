#include "jobs/client/service/logs.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/report/text.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/service/stream_retry.h"

namespace caracal {
namespace {

struct LogsOptions {
  ServerOption server;
  uint64_t id = 0, gang = 0;
  bool follow = false;
};

// Prints each byte once, and knows where to go on.
class Printer {
 public:
  // `raw`: as it was printed; else what a terminal may show of it.
  Printer(std::ostream* out, bool raw) : out_(*out), raw_(raw) {}
  ~Printer() { out_ << pieces_.Finish() << std::flush; }

  void Add(const proto::LogsResponse& part) {
    if (part.gang() < gang_) return;
    if (part.gang() > gang_) {
      printed_ = 0;
      out_ << pieces_.Finish();
    }
    gang_ = part.gang();
    const uint64_t size = part.text().size(), end = part.offset() + size;
    if (end <= printed_) return;
    const uint64_t skip = printed_ - std::min(printed_, part.offset());
    const absl::string_view news = absl::string_view(part.text()).substr(skip);
    if (raw_) {
      out_ << news;
    } else {
      out_ << pieces_.Add(news);
    }
    out_.flush();
    printed_ = end;
  }

  uint64_t gang() const { return gang_; }        // 0: none has printed
  uint64_t printed() const { return printed_; }  // bytes of it

 private:
  std::ostream& out_;
  const bool raw_;
  PrintablePieces pieces_;
  uint64_t gang_ = 0, printed_ = 0;
};

absl::Status Logs(const LogsOptions& o, Console& console) {
  Printer printer(&console.out, !console.out_is_terminal);
  const auto away = [&console](bool away) {
    console.err << (away ? "the coordinator is away; waiting for it"
                         : "the coordinator is back")
                << std::endl;
  };
  RETURN_IF_ERROR(ReadStream<proto::LogsResponse>(
      o.server, {.away = away, .again = o.follow},
      [&](proto::Jobs::Stub& stub, grpc::ClientContext* context) {
        proto::LogsRequest request;
        request.set_job(o.id);
        request.set_gang(o.gang);
        request.set_follow(o.follow);
        request.set_begin_gang(printer.gang());
        request.set_offset(printer.printed());
        if (!o.follow) ServerOption::SetDeadline(context);
        return stub.Logs(context, request);
      },
      [&](const proto::LogsResponse& part) {
        printer.Add(part);
        return console.out.good();
      }));
  if (o.gang != 0 && printer.gang() == 0) {
    return absl::NotFoundError(
        absl::StrCat("job ", o.id, ": there is no output of a gang ", o.gang));
  }
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareLogs(CLI::App& app) {
  auto o = std::make_shared<LogsOptions>();
  app.add_option("ID", o->id, "the job's number")->required()->check(CheckId);
  app.add_option("--gang", o->gang, "only of this gang; the first is 1")
      ->type_name("N")
      ->check(CheckId);
  app.add_flag("-f,--follow", o->follow, "go on until the job has ended");
  o->server.Declare(app);
  return [o](Console& console) { return Logs(*o, console); };
}

}  // namespace caracal
