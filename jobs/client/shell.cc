#include "jobs/client/shell.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/version.h"
#include "eval/report/text.h"
#include "jobs/spec/closest_name.h"

namespace caracal {
namespace {

struct Declared {
  CLI::App* app;
  CommandBody body;
};

using Groups = std::map<std::string, CLI::App*>;

// Creates the app of a command, and the group it is in.
CLI::App* AddCommandApp(const Command& command, CLI::App* root,
                        Groups* groups) {
  const std::pair<std::string, std::string> words =
      absl::StrSplit(command.name, absl::MaxSplits(' ', 1));
  if (words.second.empty()) {
    return root->add_subcommand(words.first, command.help);
  }
  CLI::App*& group = (*groups)[words.first];
  if (group == nullptr) {
    group = root->add_subcommand(words.first, "");
    group->require_subcommand(1);
  }
  CLI::App* app = group->add_subcommand(words.second, command.help);
  // A group is described by what is in it.
  group->description(absl::StrCat(group->get_description(),
                                  group->get_description().empty() ? "" : "; ",
                                  words.second, ": ", command.help));
  return app;
}

// The command that the words before the first option name, as far as they
// name one: for "see caracal explain --help".
std::string CommandWords(const CLI::App& root) {
  std::string words = "caracal";
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    absl::StrAppend(&words, " ", app->get_name());
  }
  return words;
}

// The first word where no command of that name exists.
std::string UnknownCommand(const CLI::App& root,
                           const std::vector<std::string>& arguments) {
  const CLI::App* app = &root;
  for (const std::string& word : arguments) {
    std::vector<std::string> names;
    for (const CLI::App* sub : app->get_subcommands({})) {
      names.push_back(sub->get_name());
    }
    if (names.empty() || word.empty() || word[0] == '-') return "";
    const CLI::App* next = nullptr;
    for (const CLI::App* sub : app->get_subcommands({})) {
      if (sub->get_name() == word) next = sub;
    }
    if (next == nullptr) {
      return absl::StrCat("there is no command '", word, "'; ",
                          SuggestName(word, names));
    }
    app = next;
  }
  return "";
}

int UsageError(const std::string& words, const std::string& message,
               Console& console) {
  // CLI11 ends some messages with a line about --help of its own.
  const std::string first_line =
      message.substr(0, std::min(message.size(), message.find('\n')));
  console.err << "caracal: " << Printable(first_line) << " (see " << words
              << " --help)\n";
  return kExitUsage;
}

int ExitStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    case absl::StatusCode::kUnavailable:
      return kExitTransient;
    default:
      return kExitFailure;
  }
}

}  // namespace

int RunShell(absl::Span<const Command> commands,
             const std::vector<std::string>& arguments, Console& console) {
  CLI::App root(
      "Converts Transformer language models into hybrids of sliding-window "
      "and linear attention.",
      "caracal");
  root.require_subcommand(1);
  root.set_version_flag("--version", kVersion);
  root.get_formatter()->column_width(26);
  Groups groups;
  std::vector<Declared> declared;
  for (const Command& command : commands) {
    CLI::App* app = AddCommandApp(command, &root, &groups);
    declared.push_back({app, command.declare(*app)});
  }
  if (arguments.empty()) {
    console.err << root.help();
    return kExitUsage;
  }
  const std::string unknown = UnknownCommand(root, arguments);
  if (!unknown.empty()) return UsageError("caracal", unknown, console);
  try {
    // CLI11 takes the arguments from the back.
    root.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    // "Usage: caracal data pack [OPTIONS]": the words before the last.
    const CLI::App* app = &root;
    std::string before;
    while (!app->get_subcommands().empty()) {
      absl::StrAppend(&before, before.empty() ? "" : " ", app->get_name());
      app = app->get_subcommands()[0];
    }
    console.out << app->help(before) << std::flush;
    return kExitOk;
  } catch (const CLI::CallForVersion&) {
    console.out << kVersion << "\n" << std::flush;
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return UsageError(CommandWords(root), error.what(), console);
  }
  absl::Status status;
  for (const Declared& command : declared) {
    if (command.app->parsed()) status = command.body(console);
  }
  console.out << std::flush;
  if (!status.ok()) {
    // It may quote what jobs, files and servers say.
    console.err << "caracal: " << Printable(status.message()) << "\n"
                << std::flush;
    return ExitStatus(status);
  }
  return kExitOk;
}

}  // namespace caracal
