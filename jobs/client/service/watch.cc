#include "jobs/client/service/watch.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "eval/report/text.h"
#include "jobs/client/service/event_reader.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/service/watch_view.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kLine = absl::Seconds(5);

struct WatchOptions {
  ServerOption server;
  uint64_t id = 0, after = 0;
  bool json = false;
};

std::string ToJson(const proto::JobEvent& event) {
  Json data = Json::parse(event.data(), nullptr, false);
  return Json{
      {"sequence", event.sequence()},
      {"job", event.job()},
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(event.time()),
                                absl::UTCTimeZone())},
      {"kind", event.kind()},
      {"data", std::move(data)}}
      .dump();
}

// Draws the view in place on a terminal; elsewhere prints a line for what
// changes, and for a step now and then.
class Screen {
 public:
  Screen(Console* console, WatchView* view)
      : console_(*console), view_(*view) {}
  ~Screen() {
    if (live_) Draw();
    Line();
  }

  // After an event that says `news` in words.
  void Update(const std::string& news) {
    const absl::Duration now = Clock::Real()->Now();
    if (live_) {
      if (now - shown_ < kRedraw) return;
      shown_ = now;
      Draw();
      return;
    }
    if (!news.empty()) {
      Line();
      console_.out << Printable(news) << std::endl;
    } else if (now - shown_ >= kLine) {
      shown_ = now;
      Line();
    }
  }
  // What is not of the job: the coordinator is away.
  void Note(const std::string& note) {
    if (live_) Erase();
    console_.err << note << std::endl;
    if (live_) Draw();
  }

 private:
  // The step that was not printed yet.
  void Line() {
    if (live_) return;
    const std::string line = view_.StepLine();
    if (line.empty() || line == line_) return;
    line_ = line;
    console_.out << line << std::endl;
  }
  void Erase() {
    for (; drawn_ > 0; --drawn_) console_.out << "\x1b[A\x1b[2K";
    console_.out << "\r" << std::flush;
  }
  void Draw() {
    std::string text;
    for (; drawn_ > 0; --drawn_) text += "\x1b[A";
    for (const std::string& line :
         view_.Lines(console_, Clock::Real()->WallTime())) {
      text += line + "\x1b[K\n";
      ++drawn_;
    }
    console_.out << text << "\x1b[J" << std::flush;
  }

  Console& console_;
  WatchView& view_;
  const bool live_ = console_.StyledOut();
  int drawn_ = 0;  // lines on the terminal
  absl::Duration shown_ = -absl::InfiniteDuration();
  std::string line_;
};

absl::Status Watch(const WatchOptions& o, Console& console) {
  proto::GetJobRequest request;
  request.set_id(o.id);
  ASSIGN_OR_RETURN(const proto::JobInfo job,
                   o.server.Call(&proto::Jobs::Stub::Get, request));
  WatchView view(job);
  // An end that was followed by a resume is not the end.
  const auto goes_on = [&](const proto::JobEvent& event) {
    if (event.kind() != "state" || !HasEnded(view.state())) return true;
    const auto now = o.server.Call(&proto::Jobs::Stub::Get, request);
    return now.ok() && (!HasEnded(now->state()) ||
                        TimeOf(now->changed()) > TimeOf(event.time()));
  };
  {
    std::unique_ptr<Screen> screen;
    if (!o.json) screen = std::make_unique<Screen>(&console, &view);
    RETURN_IF_ERROR(ReadEvents(
        o.server,
        {.job = o.id,
         .after = o.after,
         .away =
             [&](bool away) {
               if (screen == nullptr) return;
               screen->Note(away ? "the coordinator is away; waiting for it"
                                 : "the coordinator is back");
             }},
        [&](const proto::JobEvent& event) {
          const std::string news = view.Add(event);
          if (screen != nullptr) {
            screen->Update(news);
          } else {
            console.out << ToJson(event) << "\n" << std::flush;
          }
          return console.out.good() && goes_on(event);
        }));
  }
  if (o.json || view.state() != proto::FAILED) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("job ", o.id, " has failed"));
}

}  // namespace

CommandBody DeclareWatch(CLI::App& app) {
  auto o = std::make_shared<WatchOptions>();
  app.add_option("ID", o->id, "the job's number")->required()->check(CheckId);
  app.add_option("--after", o->after,
                 "only events after the one of this number")
      ->type_name("SEQUENCE");
  o->server.Declare(app);
  app.add_flag("--json", o->json, "print events as JSON objects, a line each");
  return [o](Console& console) { return Watch(*o, console); };
}

}  // namespace caracal
