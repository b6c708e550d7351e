// A SQLite database: a file that is locked, migrated and durable.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_DATABASE_H_
#define CARACAL_JOBS_COORDINATOR_STORE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace caracal {

class Database;

// A prepared statement. Bound values stay until they are bound again. Not
// thread-safe; its database outlives it.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Parameters ?1, ?2, ...; text is copied.
  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, absl::string_view value);
  // Any bytes, copied.
  Statement& BindBytes(int index, absl::string_view value);
  Statement& BindNull(int index);
  Statement& Bind(int index, const std::optional<int64_t>& value);

  // To the next row: false after the last one. Errors of Bind come here, too.
  absl::StatusOr<bool> Step();
  // For statements without rows; ready to be bound again.
  absl::Status Run();
  // Back before the first row.
  void Reset();

  // Of the row, columns from 0.
  int64_t Integer(int column) const;
  std::optional<int64_t> OptionalInteger(int column) const;
  std::string Text(int column) const;
  std::string Bytes(int column) const;

 private:
  friend class Database;
  Statement(Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  Database* database_;
  sqlite3_stmt* statement_;
  int bind_error_ = 0;
};

// Commits are durable when they return (write-ahead log, synchronous = FULL).
// Used by one thread at a time.
class Database {
 public:
  // Opens or makes the file and brings its schema to the newest version: each
  // migration is run once, in a transaction. From now on its owner alone can
  // read it and its log, whatever modes they had.
  // kFailedPrecondition when the file's schema is newer; kDataLoss when it is
  // damaged, for which all of it is read (SQLite's quick_check), or no
  // database.
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path, const std::vector<std::string>& migrations);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  const std::string& path() const { return path_; }
  // kDataLoss from the first statement on that has found it damaged.
  const absl::Status& damage() const { return damage_; }

  // SQL without parameters; several statements are allowed.
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(absl::string_view sql);

  // All of `run` or nothing of it is stored.
  template <typename F>
  absl::Status InTransaction(F run) {
    absl::Status status = begin_->Run();
    if (!status.ok()) return status;
    status = run();
    if (status.ok()) status = commit_->Run();
    if (!status.ok()) Execute("ROLLBACK").IgnoreError();
    return status;
  }

 private:
  friend class Statement;
  Database(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}
  absl::Status Prepare();
  absl::Status Check();
  absl::Status Migrate(const std::vector<std::string>& migrations);
  // Of what SQLite answered.
  absl::Status StatusOf(int code, absl::string_view what);

  std::string path_;
  sqlite3* db_;
  absl::Status damage_;
  std::unique_ptr<Statement> begin_, commit_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_DATABASE_H_
