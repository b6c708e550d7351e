#include "jobs/coordinator/store/database.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/store/sqlite_api.h"

namespace caracal {
namespace {

constexpr int kBusyMilliseconds = 5000;
constexpr char kRestore[] = "; restore the back-up";

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
  }
  return absl::StatusCode::kInternal;
}

// SQLite would make it readable for all that the umask lets, and one that was
// copied back has the mode of the copy. What SQLite makes beside it gets its
// mode; what is there already has one of its own.
absl::Status MakePrivate(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open ", path));
  close(fd);
  for (const char* end : {"", "-wal", "-shm"}) {
    const std::string file = absl::StrCat(path, end);
    struct stat info;
    if (stat(file.c_str(), &info) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoStatus(errno, absl::StrCat("stat ", file));
    }
    const mode_t others = S_IRWXG | S_IRWXO;
    if ((info.st_mode & others) == 0) continue;
    if (chmod(file.c_str(), info.st_mode & S_IRWXU) != 0) {
      return ErrnoStatus(errno, absl::StrCat("chmod ", file));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SqliteStatus(int code, sqlite3* db, const std::string& where,
                          absl::string_view what) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
    return absl::OkStatus();
  }
  return absl::Status(
      CodeOf(code),
      absl::StrCat(where, ": ", what, ": ",
                   db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code)));
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_error_(other.bind_error_) {}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::Bind(int index, int64_t value) {
  const int code = sqlite3_bind_int64(statement_, index, value);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::Bind(int index, absl::string_view value) {
  const int code =
      sqlite3_bind_text64(statement_, index, value.data(), value.size(),
                          SQLITE_TRANSIENT, SQLITE_UTF8);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::BindBytes(int index, absl::string_view value) {
  // A null pointer would be NULL, not no bytes.
  const char* const data = value.empty() ? "" : value.data();
  const int code = sqlite3_bind_blob64(statement_, index, data, value.size(),
                                       SQLITE_TRANSIENT);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::BindNull(int index) {
  const int code = sqlite3_bind_null(statement_, index);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::Bind(int index, const std::optional<int64_t>& value) {
  return value.has_value() ? Bind(index, *value) : BindNull(index);
}

absl::StatusOr<bool> Statement::Step() {
  int code = std::exchange(bind_error_, SQLITE_OK);
  if (code == SQLITE_OK) code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->StatusOf(code, sqlite3_sql(statement_));
}

absl::Status Statement::Run() {
  const absl::Status status = Step().status();
  Reset();
  return status;
}

void Statement::Reset() { sqlite3_reset(statement_); }

int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::optional<int64_t> Statement::OptionalInteger(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) {
    return std::nullopt;
  }
  return Integer(column);
}

std::string Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(text),
                     sqlite3_column_bytes(statement_, column));
}

std::string Statement::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return "";
  return std::string(static_cast<const char*>(bytes),
                     sqlite3_column_bytes(statement_, column));
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path, const std::vector<std::string>& migrations) {
  RETURN_IF_ERROR(MakePrivate(path));
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &db,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  std::unique_ptr<Database> database(new Database(path, db));
  RETURN_IF_ERROR(SqliteStatus(code, db, path, "open"));
  RETURN_IF_ERROR(database->Prepare());
  RETURN_IF_ERROR(database->Check());
  RETURN_IF_ERROR(database->Migrate(migrations));
  return database;
}

Database::~Database() {
  begin_ = nullptr;
  commit_ = nullptr;
  sqlite3_close(db_);
}

absl::Status Database::Prepare() {
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, kBusyMilliseconds);
  ASSIGN_OR_RETURN(Statement mode, Prepare("PRAGMA journal_mode = WAL"));
  RETURN_IF_ERROR(mode.Step().status());
  if (mode.Text(0) != "wal") {
    // On a network file system, say.
    return absl::FailedPreconditionError(absl::StrCat(
        path_, ": no write-ahead log is possible here (journal mode ",
        mode.Text(0), "); the folder has to be on a local disk"));
  }
  RETURN_IF_ERROR(
      Execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"));
  ASSIGN_OR_RETURN(Statement begin, Prepare("BEGIN IMMEDIATE"));
  begin_ = std::make_unique<Statement>(std::move(begin));
  ASSIGN_OR_RETURN(Statement commit, Prepare("COMMIT"));
  commit_ = std::make_unique<Statement>(std::move(commit));
  return absl::OkStatus();
}

absl::Status Database::StatusOf(int code, absl::string_view what) {
  absl::Status status = SqliteStatus(code, db_, path_, what);
  if (absl::IsDataLoss(status) && damage_.ok()) {
    damage_ = absl::DataLossError(
        absl::StrCat(path_, ": ", sqlite3_errmsg(db_), kRestore));
  }
  return status;
}

absl::Status Database::Check() {
  // The first of what there may be.
  ASSIGN_OR_RETURN(Statement check, Prepare("PRAGMA quick_check(1)"));
  const absl::StatusOr<bool> found = check.Step();
  if (!damage_.ok()) return damage_;
  RETURN_IF_ERROR(found.status());
  const std::string what = check.Text(0);
  if (what == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path_, ": ", what, kRestore));
}

absl::Status Database::Migrate(const std::vector<std::string>& migrations) {
  int64_t version = 0;
  {
    ASSIGN_OR_RETURN(Statement read, Prepare("PRAGMA user_version"));
    RETURN_IF_ERROR(read.Step().status());
    version = read.Integer(0);
  }
  const int64_t newest = static_cast<int64_t>(migrations.size());
  if (version > newest) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": is of a newer program (schema ", version,
                     "; this one knows ", newest, ")"));
  }
  for (; version < newest; ++version) {
    RETURN_IF_ERROR(InTransaction([&] {
      // Parameters are not for pragmas.
      return Execute(absl::StrCat(migrations[version],
                                  "; PRAGMA user_version = ", version + 1));
    }));
  }
  return absl::OkStatus();
}

absl::Status Database::Execute(const std::string& sql) {
  return StatusOf(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr),
                  sql);
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  RETURN_IF_ERROR(StatusOf(code, sql));
  return Statement(this, statement);
}

}  // namespace caracal
