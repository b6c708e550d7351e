#include "core/io/hdf5/driver.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace caracal::hdf5::internal {
namespace {

// Offsets must fit off_t.
constexpr haddr_t kMaxAddress = (haddr_t{1} << 62) - 1;

// What the library holds of an open file; its own part comes first.
struct DriverFile {
  H5FD_t base;
  haddr_t end_of_allocation;
  Storage* storage;
  uint64_t serial;  // never used twice
};

// The content of the property list; the library copies it bytewise.
struct DriverInfo {
  Storage* storage;
};

hid_t DriverId();

DriverFile* Self(H5FD_t* file) { return reinterpret_cast<DriverFile*>(file); }
const DriverFile* Self(const H5FD_t* file) {
  return reinterpret_cast<const DriverFile*>(file);
}

H5FD_t* Open(const char*, unsigned flags, hid_t properties, haddr_t) {
  const auto* info =
      static_cast<const DriverInfo*>(H5Pget_driver_info(properties));
  if (info == nullptr) return nullptr;
  if ((flags & H5F_ACC_RDWR) && !info->storage->writable) return nullptr;
  auto* file = new DriverFile();
  file->storage = info->storage;
  static uint64_t next_serial = 0;
  file->serial = next_serial++;
  return &file->base;
}

herr_t Close(H5FD_t* file) {
  delete Self(file);
  return 0;
}

// Two openings are never the same file to the library, so nothing is shared
// between them.
int Compare(const H5FD_t* a, const H5FD_t* b) {
  const uint64_t x = Self(a)->serial;
  const uint64_t y = Self(b)->serial;
  return x < y ? -1 : x > y;
}

herr_t Query(const H5FD_t*, unsigned long* flags) {
  if (flags != nullptr) {
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
             H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
  }
  return 0;
}

haddr_t GetEndOfAllocation(const H5FD_t* file, H5FD_mem_t) {
  return Self(file)->end_of_allocation;
}

herr_t SetEndOfAllocation(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  Self(file)->end_of_allocation = address;
  return 0;
}

haddr_t GetEndOfFile(const H5FD_t* file, H5FD_mem_t) {
  return Self(file)->storage->size;
}

herr_t Read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size,
            void* buffer) {
  Storage& storage = *Self(file)->storage;
  if (address > kMaxAddress || size > kMaxAddress - address) return -1;
  absl::StatusOr<size_t> n = storage.file->ReadAt(address, size, buffer);
  if (!n.ok()) {
    storage.read_error = n.status();
    return -1;
  }
  // Space that was allocated but not written yet, or a file shorter than the
  // library's first probes; it checks lengths itself.
  std::memset(static_cast<char*>(buffer) + *n, 0, size - *n);
  return 0;
}

herr_t Write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size,
             const void* buffer) {
  Storage& storage = *Self(file)->storage;
  if (!storage.writable) return -1;
  if (address > kMaxAddress || size > kMaxAddress - address) return -1;
  if (storage.write_error.ok()) {
    storage.write_error = storage.file->WriteAt(
        address, absl::string_view(static_cast<const char*>(buffer), size));
  }
  storage.size = std::max<uint64_t>(storage.size, address + size);
  return 0;
}

herr_t Truncate(H5FD_t* file, hid_t, hbool_t) {
  Storage& storage = *Self(file)->storage;
  const haddr_t end = Self(file)->end_of_allocation;
  if (!storage.writable || storage.size == end) return 0;
  if (storage.write_error.ok()) {
    storage.write_error = storage.file->Truncate(end);
  }
  storage.size = end;
  return 0;
}

H5FD_class_t MakeClass() {
  H5FD_class_t driver = {};
  driver.name = "caracal";
  driver.maxaddr = kMaxAddress;
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = Open;
  driver.close = Close;
  driver.cmp = Compare;
  driver.query = Query;
  driver.get_eoa = GetEndOfAllocation;
  driver.set_eoa = SetEndOfAllocation;
  driver.get_eof = GetEndOfFile;
  driver.read = Read;
  driver.write = Write;
  driver.truncate = Truncate;
  const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return driver;
}

hid_t DriverId() {
  // The library keeps a pointer into the class.
  static const H5FD_class_t* const driver = new H5FD_class_t(MakeClass());
  static const hid_t id = H5FDregister(driver);
  return id;
}

}  // namespace

herr_t UseStorage(hid_t access_properties, Storage* storage) {
  const DriverInfo info = {storage};
  return H5Pset_driver(access_properties, DriverId(), &info);
}

}  // namespace caracal::hdf5::internal
