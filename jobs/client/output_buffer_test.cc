#include "jobs/client/output_buffer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>

#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

TEST(OutputBufferTest, WritesEachByteOnce) {
  const TemporaryFolder folder;
  const int fd = open(folder.File("f").c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  OutputBuffer buffer(fd);
  std::ostream out(&buffer);
  std::string text;
  // Over the buffer's end, and more than it holds at a time.
  for (const size_t bytes :
       {size_t{1}, size_t{65535}, size_t{3}, size_t{2} << 17}) {
    const std::string part(bytes, static_cast<char>('a' + text.size() % 26));
    out << part;
    text += part;
  }
  out << '\n' << std::flush;
  EXPECT_TRUE(out.good());
  EXPECT_EQ(buffer.error(), 0);
  close(fd);
  std::ostringstream read;
  read << std::ifstream(folder.File("f")).rdbuf();
  EXPECT_TRUE(read.str() == text + "\n");
}

TEST(OutputBufferTest, KeepsTheErrorThatEndedIt) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  OutputBuffer buffer(ends[1]);
  std::ostream out(&buffer);
  out << "text" << std::flush;
  EXPECT_FALSE(out.good());
  // What comes after it, of this stream or not.
  out.clear();
  EXPECT_EQ(open("/nowhere", O_RDONLY), -1);
  EXPECT_FALSE(out.flush().good());
  EXPECT_EQ(buffer.error(), EPIPE);
  close(ends[1]);
}

TEST(OutputBufferTest, AFullDiskIsNoReaderThatWentAway) {
  const int fd = open("/dev/full", O_WRONLY);
  ASSERT_GE(fd, 0);
  OutputBuffer buffer(fd);
  std::ostream out(&buffer);
  out << std::string(1 << 17, 'x');
  EXPECT_FALSE(out.good());
  EXPECT_EQ(buffer.error(), ENOSPC);
  close(fd);
}

}  // namespace
}  // namespace caracal
