#include "jobs/coordinator/store/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::_;
using ::testing::HasSubstr;

const std::vector<std::string> kFirst = {
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)"};

class DatabaseTest : public ::testing::Test {
 protected:
  std::unique_ptr<Database> Open(const std::vector<std::string>& migrations) {
    auto database = Database::Open(path_, migrations);
    EXPECT_OK(database);
    return database.ok() ? *std::move(database) : nullptr;
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.File("d.sqlite");
};

TEST_F(DatabaseTest, ValuesRoundTrip) {
  const auto database = Open(kFirst);
  const std::string text("a\0b'\";\xc3\xa4", 8);
  ASSERT_OK_AND_ASSIGN(Statement add,
                       database->Prepare("INSERT INTO t VALUES (?1, ?2)"));
  ASSERT_OK(add.Bind(1, int64_t{-1} << 62).Bind(2, text).Run());
  ASSERT_OK(add.Bind(1, int64_t{7}).BindNull(2).Run());
  EXPECT_THAT(add.Bind(1, int64_t{7}).Run(),
              StatusIs(StatusCode::kInternal, HasSubstr("UNIQUE")));
  EXPECT_THAT(add.Bind(9, int64_t{7}).Run(),
              StatusIs(StatusCode::kInternal, _));
  ASSERT_OK_AND_ASSIGN(Statement all,
                       database->Prepare("SELECT a, b FROM t ORDER BY a"));
  ASSERT_TRUE(*all.Step());
  EXPECT_EQ(all.Integer(0), int64_t{-1} << 62);
  EXPECT_EQ(all.Text(1), text);
  ASSERT_TRUE(*all.Step());
  EXPECT_EQ(all.OptionalInteger(0), 7);
  EXPECT_EQ(all.OptionalInteger(1), std::nullopt);
  EXPECT_FALSE(*all.Step());
}

TEST_F(DatabaseTest, IsPrivate) {
  const auto database = Open(kFirst);
  for (const char* end : {"", "-wal"}) {
    struct stat info;
    ASSERT_EQ(stat((path_ + end).c_str(), &info), 0) << end;
    EXPECT_EQ(info.st_mode & 0777, 0600) << end;
  }
}

// One that was restored from a copy, say.
TEST_F(DatabaseTest, IsMadePrivate) {
  Open(kFirst);
  for (const char* end : {"", "-wal", "-shm"}) {
    std::ofstream(path_ + end, std::ios::app).flush();
    ASSERT_EQ(chmod((path_ + end).c_str(), 0664), 0) << end;
  }
  const auto database = Open(kFirst);
  ASSERT_OK(database->Execute("INSERT INTO t VALUES (1, 'x')"));
  for (const char* end : {"", "-wal", "-shm"}) {
    struct stat info;
    ASSERT_EQ(stat((path_ + end).c_str(), &info), 0) << end;
    EXPECT_EQ(info.st_mode & 0777, 0600) << end;
  }
}

TEST_F(DatabaseTest, ATransactionIsAllOrNothing) {
  const auto database = Open(kFirst);
  EXPECT_THAT(database->InTransaction([&] {
    EXPECT_OK(database->Execute("INSERT INTO t VALUES (1, 'x')"));
    return absl::CancelledError("no");
  }),
              StatusIs(StatusCode::kCancelled, _));
  EXPECT_THAT(database->InTransaction([&] {
    EXPECT_OK(database->Execute("INSERT INTO t VALUES (2, 'x')"));
    return database->Execute("INSERT INTO nowhere VALUES (2)");
  }),
              StatusIs(StatusCode::kInternal, HasSubstr("nowhere")));
  ASSERT_OK(database->InTransaction(
      [&] { return database->Execute("INSERT INTO t VALUES (3, 'x')"); }));
  ASSERT_OK_AND_ASSIGN(Statement all, database->Prepare("SELECT a FROM t"));
  ASSERT_TRUE(*all.Step());
  EXPECT_EQ(all.Integer(0), 3);
  EXPECT_FALSE(*all.Step());
}

TEST_F(DatabaseTest, MigrationsRunOnce) {
  std::vector<std::string> migrations = kFirst;
  EXPECT_OK(Open(migrations)->Execute("INSERT INTO t VALUES (1, 'x')"));
  migrations.push_back("ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 5");
  migrations.push_back("UPDATE t SET c = c + 1");
  for (int i = 0; i < 2; ++i) {
    const auto database = Open(migrations);
    ASSERT_OK_AND_ASSIGN(Statement all, database->Prepare("SELECT c FROM t"));
    ASSERT_TRUE(*all.Step());
    EXPECT_EQ(all.Integer(0), 6);
  }
  EXPECT_THAT(Database::Open(path_, kFirst).status(),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("newer program (schema 3")));
  // One that fails leaves the last good version.
  migrations.push_back("UPDATE t SET c = 0; UPDATE nowhere SET a = 1");
  EXPECT_THAT(Database::Open(path_, migrations).status(),
              StatusIs(StatusCode::kInternal, HasSubstr("nowhere")));
  migrations.pop_back();
  const auto database = Open(migrations);
  ASSERT_OK_AND_ASSIGN(Statement all, database->Prepare("SELECT c FROM t"));
  ASSERT_TRUE(*all.Step());
  EXPECT_EQ(all.Integer(0), 6);
}

TEST_F(DatabaseTest, DamageIsFound) {
  auto database = Open(kFirst);
  const std::string text(1000, 'x');
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(database->Execute("INSERT INTO t (b) VALUES ('" + text + "')"));
  }
  database = nullptr;
  database = Open(kFirst);
  ASSERT_OK(database->damage());
  // Beyond what holds the schema, with nothing of it in memory.
  ASSERT_OK(database->Execute("PRAGMA shrink_memory"));
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(4096 * 8, '\xAA');
  }
  {
    ASSERT_OK_AND_ASSIGN(Statement all,
                         database->Prepare("SELECT sum(length(b)) FROM t"));
    EXPECT_THAT(all.Step().status(), StatusIs(StatusCode::kDataLoss, _));
  }
  EXPECT_THAT(database->damage(), StatusIs(StatusCode::kDataLoss,
                                           HasSubstr("restore the back-up")));
  database = nullptr;
  EXPECT_THAT(
      Database::Open(path_, kFirst).status(),
      StatusIs(StatusCode::kDataLoss, HasSubstr("restore the back-up")));
}

TEST_F(DatabaseTest, WhatIsNoDatabaseIsNamed) {
  std::ofstream(path_) << std::string(5000, 'x');
  EXPECT_THAT(Database::Open(path_, kFirst).status(),
              StatusIs(StatusCode::kDataLoss, HasSubstr(path_)));
  EXPECT_THAT(Database::Open(folder_.File("no/d"), kFirst).status(),
              StatusIs(StatusCode::kNotFound, HasSubstr("no/d")));
}

}  // namespace
}  // namespace caracal
