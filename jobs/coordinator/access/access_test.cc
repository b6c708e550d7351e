#include "jobs/coordinator/access/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "core/base/fake_clock.h"
#include "core/base/status_matchers.h"
#include "jobs/coordinator/access/lifetime.h"
#include "jobs/coordinator/access/testing/certificates.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Token, IsLongRandomAndHashed) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string token = NewToken();
    EXPECT_TRUE(absl::StartsWith(token, "caracal_"));
    EXPECT_EQ(token.size(), 8 + 43);  // 256 bits, 6 a character
    EXPECT_TRUE(seen.insert(token).second);
  }
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(HashOfToken("abc"),
            "ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(SameSecret("ab", "ab"));
  EXPECT_FALSE(SameSecret("ab", "ac"));
  EXPECT_FALSE(SameSecret("ab", "abc"));
  EXPECT_TRUE(SameSecret("", ""));
}

TEST(Role, Names) {
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kAdmin}) {
    EXPECT_EQ(RoleFromName(NameOf(role)), role);
    EXPECT_THAT(kRoleNames, HasSubstr(NameOf(role)));
  }
  EXPECT_FALSE(RoleFromName("root").has_value());
  EXPECT_FALSE(RoleFromName("").has_value());
  for (const char* name : {"ann", "a.b-c_d@host", "7"}) {
    EXPECT_TRUE(IsUserName(name)) << name;
  }
  for (const std::string& name :
       {std::string(""), std::string(65, 'a'), std::string("-x"),
        std::string(".x"), std::string("a b"), std::string("a\n"),
        std::string("a\0b", 3), std::string("<b>"), std::string("a/b"),
        std::string("\xc3\xa4")}) {
    EXPECT_FALSE(IsUserName(name)) << name;
  }
}

TEST(BearerToken, IsTakenFromTheHeaderAlone) {
  EXPECT_EQ(BearerToken("Bearer abc"), "abc");
  EXPECT_EQ(BearerToken("bearer  abc "), "abc");
  EXPECT_EQ(BearerToken("Basic abc"), "");
  EXPECT_EQ(BearerToken("abc"), "");
  EXPECT_EQ(BearerToken(""), "");
}

TEST(SessionBookTest, SessionsEndAndTheOldestMakeRoom) {
  SessionBook book;
  const absl::Duration start = absl::Hours(1);
  const std::string first = book.Begin(7, start);
  EXPECT_EQ(first.size(), 64);
  EXPECT_EQ(book.TokenOf(first, start), 7);
  EXPECT_EQ(book.TokenOf(first + "0", start), std::nullopt);
  EXPECT_EQ(book.TokenOf("", start), std::nullopt);
  const absl::Duration last = start + kSessionLifetime - absl::Seconds(1);
  EXPECT_EQ(book.TokenOf(first, last), 7);
  EXPECT_EQ(book.TokenOf(first, start + kSessionLifetime), std::nullopt);
  const std::string other = book.Begin(8, start);
  std::string newest;
  for (size_t i = 0; i < SessionBook::kMostOfToken; ++i) {
    newest = book.Begin(7, start + absl::Seconds(1 + static_cast<double>(i)));
  }
  EXPECT_EQ(book.TokenOf(first, last), std::nullopt);
  EXPECT_EQ(book.TokenOf(newest, last), 7);
  EXPECT_EQ(book.TokenOf(other, last), 8);
  book.End(newest);
  book.End(newest);
  EXPECT_EQ(book.TokenOf(newest, last), std::nullopt);
}

class AccessTest : public ::testing::Test {
 protected:
  // The token of a new user.
  std::string Add(const std::string& name, Role role) {
    TokenRecord record = {.id = ++last_, .name = name, .role = role};
    record.created = clock_.WallTime();
    const std::string token = NewToken();
    record.hash = HashOfToken(token);
    book_.Add(record);
    return token;
  }

  FakeClock clock_;
  TokenBook book_;
  int64_t last_ = 0;
  Access access_{{}, &book_, &clock_};
};

TEST_F(AccessTest, IsOpenUntilTheFirstToken) {
  EXPECT_TRUE(access_.IsOpen());
  const auto caller = access_.Authorize({}, Role::kAdmin);
  ASSERT_OK(caller.status());
  EXPECT_EQ(caller->name, kLocalUser);
  // Whatever is shown then: a token of another coordinator, say.
  EXPECT_OK(access_.Authorize({.token = "x"}, Role::kAdmin).status());
  const std::string token = Add("ann", Role::kAdmin);
  EXPECT_FALSE(access_.IsOpen());
  EXPECT_THAT(
      access_.Authenticate({}).status(),
      StatusIs(StatusCode::kUnauthenticated, HasSubstr("--token-file")));
  // And not again when it is revoked.
  book_.Revoke(1, clock_.WallTime());
  EXPECT_FALSE(access_.IsOpen());
  EXPECT_THAT(access_.Authenticate({.token = token}).status(),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("revoked")));
}

TEST_F(AccessTest, CredentialsCanBeRequiredFromTheStart) {
  const Access strict({.require_credentials = true}, &book_, &clock_);
  EXPECT_FALSE(strict.IsOpen());
  EXPECT_THAT(strict.Authenticate({}).status(),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("token")));
}

TEST_F(AccessTest, EachRoleMayWhatThoseBeforeItMay) {
  const Role roles[] = {Role::kViewer, Role::kSubmitter, Role::kAdmin};
  for (const Role has : roles) {
    const std::string token = Add(NameOf(has), has);
    for (const Role needed : roles) {
      const absl::Status status =
          access_.Authorize({.token = token}, needed).status();
      if (has >= needed) {
        EXPECT_OK(status);
      } else {
        EXPECT_THAT(status, StatusIs(StatusCode::kPermissionDenied,
                                     HasSubstr(NameOf(needed))));
      }
    }
  }
}

TEST_F(AccessTest, WrongTokensTellNothing) {
  const std::string token = Add("ann", Role::kAdmin);
  for (const std::string& wrong :
       {token.substr(1), token + "x", std::string("caracal_"),
        HashOfToken(token)}) {
    const absl::Status status = access_.Authenticate({.token = wrong}).status();
    EXPECT_THAT(status,
                StatusIs(StatusCode::kUnauthenticated, Not(HasSubstr(wrong))));
  }
}

TEST_F(AccessTest, TokensExpire) {
  TokenRecord record = {.id = 1, .name = "ann", .role = Role::kAdmin};
  record.hash = HashOfToken("secret");
  record.expires = clock_.WallTime() + absl::Hours(1);
  book_.Add(record);
  EXPECT_OK(access_.Authenticate({.token = "secret"}).status());
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(access_.Authenticate({.token = "secret"}).status(),
              StatusIs(StatusCode::kUnauthenticated,
                       HasSubstr("expired at 2000-01-01 01:00")));
  // The name is free again.
  record.expires = clock_.WallTime() + absl::Hours(1);
  EXPECT_OK(book_.CheckNew(record, clock_.WallTime()));
}

TEST_F(AccessTest, UseIsToldOnceAMinute) {
  int told = 0;
  book_.OnUse([&](int64_t id, absl::Time when) {
    ++told;
    EXPECT_EQ(id, 1);
    EXPECT_EQ(when, clock_.WallTime());
  });
  const std::string token = Add("ann", Role::kAdmin);
  for (int i = 0; i < 120; ++i) {
    EXPECT_OK(access_.Authenticate({.token = token}).status());
    clock_.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(told, 2);
}

TEST_F(AccessTest, SessionsStandForTheirToken) {
  EXPECT_THAT(access_.SignIn("x").status(),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("nobody")));
  const std::string token = Add("ann", Role::kSubmitter);
  EXPECT_THAT(access_.SignIn("x").status(),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("not known")));
  const auto begin = [&] {
    const auto signed_in = access_.SignIn(token);
    CARACAL_CHECK_OK(signed_in.status());
    EXPECT_EQ(signed_in->caller.name, "ann");
    return signed_in->session;
  };
  const std::string one = begin(), other = begin();
  EXPECT_OK(access_.Authorize({.session = one}, Role::kSubmitter).status());
  EXPECT_THAT(access_.Authorize({.session = one}, Role::kAdmin).status(),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("admin")));
  // It is no token, and a token no session; one that is shown goes first.
  EXPECT_FALSE(access_.Authenticate({.token = one}).ok());
  EXPECT_FALSE(access_.Authenticate({.session = token}).ok());
  EXPECT_FALSE(access_.Authenticate({.token = "x", .session = one}).ok());
  access_.SignOut(one);
  EXPECT_THAT(access_.Authenticate({.session = one}).status(),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("sign in")));
  EXPECT_OK(access_.Authenticate({.session = other}).status());
  book_.Revoke(1, clock_.WallTime());
  EXPECT_THAT(access_.Authenticate({.session = other}).status(),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("revoked")));
}

TEST_F(AccessTest, NewTokensAreChecked) {
  TokenRecord record = {.name = "bob", .role = Role::kViewer};
  const absl::Time now = clock_.WallTime();
  EXPECT_THAT(book_.CheckNew(record, now),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("admin")));
  Add("ann", Role::kAdmin);
  EXPECT_OK(book_.CheckNew(record, now));
  record.name = "ann";
  EXPECT_THAT(book_.CheckNew(record, now),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("revoke")));
  record.name = "a/b";
  EXPECT_THAT(book_.CheckNew(record, now),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("name")));
  record.name = "bob";
  record.expires = now;
  EXPECT_THAT(book_.CheckNew(record, now),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("future")));
}

TEST_F(AccessTest, ATokenThatNobodyHeardOfIsMadeAgain) {
  const absl::Time now = clock_.WallTime();
  Add("ann", Role::kAdmin);
  TokenRecord record = {.id = 7,
                        .name = "bob",
                        .role = Role::kViewer,
                        .hash = HashOfToken("lost"),
                        .created_by = "ann",
                        .key = "k"};
  EXPECT_FALSE(book_.MadeBefore(record, now).has_value());
  book_.Add(record);
  EXPECT_OK(book_.CheckNew(record, now));
  ASSERT_TRUE(book_.MadeBefore(record, now).has_value());
  EXPECT_EQ(book_.MadeBefore(record, now)->id, 7);
  book_.Replace(7, HashOfToken("found"));
  EXPECT_FALSE(book_.Find("lost", now).ok());
  // Another request, and another one's key.
  TokenRecord other = record;
  other.name = "eve";
  EXPECT_THAT(book_.CheckNew(other, now),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("another one")));
  other.created_by = "tom";
  EXPECT_OK(book_.CheckNew(other, now));
  EXPECT_FALSE(book_.MadeBefore(other, now).has_value());
  other = record;
  other.key = "";
  EXPECT_FALSE(book_.MadeBefore(other, now).has_value());
  // Somebody has it.
  ASSERT_OK(book_.Find("found", now).status());
  EXPECT_FALSE(book_.MadeBefore(record, now).has_value());
  EXPECT_THAT(book_.CheckNew(record, now),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("revoke it")));
  book_.Revoke(7, now);
  EXPECT_THAT(book_.CheckNew(record, now),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("not valid")));
}

TEST_F(AccessTest, CertificatesHaveRolesByName) {
  const auto roles = ParseCertificateRoles(
      "# people\nann admin\n\n  bob\tviewer  # looks on\r\n");
  ASSERT_OK(roles.status());
  const absl::Time now = clock_.WallTime();
  const auto make = [&](const std::string& name,
                        const TestCertificate* signer) {
    return MakeTestCertificate(name, signer, now - absl::Hours(1),
                               now + absl::Hours(1));
  };
  const TestCertificate authority = make("CA", nullptr);
  const auto shown = [&](const std::string& name) {
    return ClientCertificate{name, make(name, &authority).certificate};
  };
  const auto client_ca =
      std::make_shared<const ClientCa>(*ClientCa::Of(authority.certificate));
  const Access access({.require_credentials = true,
                       .client_ca = client_ca,
                       .certificate_roles = *roles},
                      &book_, &clock_);
  EXPECT_OK(
      access.Authorize({.certificate = shown("ann")}, Role::kAdmin).status());
  EXPECT_THAT(access.Authorize({.certificate = shown("bob")}, Role::kSubmitter)
                  .status(),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("viewer")));
  EXPECT_THAT(access.Authenticate({.certificate = shown("eve")}).status(),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("no role")));
  // A token that is shown counts, good or bad.
  EXPECT_THAT(
      access.Authenticate({.token = "x", .certificate = shown("ann")}).status(),
      StatusIs(StatusCode::kUnauthenticated, HasSubstr("not known")));
  // A certificate that is not good lets nobody in, with whatever beside it.
  const TestCertificate own = make("ann", nullptr);
  EXPECT_THAT(
      access
          .Authenticate({.token = Add("ann", Role::kAdmin),
                         .certificate = {"ann", own.certificate}})
          .status(),
      StatusIs(StatusCode::kUnauthenticated, HasSubstr("signed by itself")));
  EXPECT_THAT(Access({.require_credentials = true, .certificate_roles = *roles},
                     &book_, &clock_)
                  .Authenticate({.certificate = shown("ann")})
                  .status(),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("nobody")));
  for (const char* wrong : {"ann", "ann root", "ann admin x", "a/b admin",
                            "ann admin\nann viewer"}) {
    EXPECT_THAT(ParseCertificateRoles(wrong).status(),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("line ")))
        << wrong;
  }
}

TEST(CheckOwner, OthersJobsAreForAdmins) {
  EXPECT_OK(CheckOwner({"ann", Role::kSubmitter}, "ann"));
  EXPECT_OK(CheckOwner({"ann", Role::kAdmin}, "bob"));
  EXPECT_THAT(CheckOwner({"ann", Role::kSubmitter}, "bob"),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("bob's")));
}

TEST(Lifetime, DaysHoursMinutes) {
  EXPECT_EQ(*ParseLifetime("30d"), absl::Hours(720));
  EXPECT_EQ(*ParseLifetime("12h"), absl::Hours(12));
  EXPECT_EQ(*ParseLifetime("90m"), absl::Minutes(90));
  EXPECT_EQ(*ParseLifetime("45s"), absl::Seconds(45));
  for (const char* wrong :
       {"", "d", "30", "0d", "-1d", "1.5d", "9999d", "1y", "99999999999999d"}) {
    EXPECT_EQ(ParseLifetime(wrong).status().code(),
              StatusCode::kInvalidArgument)
        << wrong;
  }
}

}  // namespace
}  // namespace caracal
