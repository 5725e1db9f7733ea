/* The built-in data set: what a vendor of drivers and applications might see on some day.
 *
 * Everything follows from the day it is made for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/build.h"
#include "tests/emulator/dates.h"
#include <string.h>

#define DAYS 25

typedef struct {
  const char *id;
  const char *family;
  const char *fields; /* of all its rows: "name=value;name=value" */
} DemoProduct;

typedef struct {
  guint product; /* index */
  const char *name;
  const char *symbol;
  const char *event;
  const char *os_version;
  const char *market;
  const char *more; /* further fields, as those of a product */
  guint cabs;
  const char *payload; /* of two in three of the small ones; NULL: synthetic */
  const char *other;   /* of the third */
  gint64 size;         /* of the synthetic */
} DemoFailure;

#define DRIVER_SYSTEM ";osName=Windows 11;architecture=x64;oemModel=Model 42;flightRing=Retail"
#define SEVEN         "osName=Windows 7;architecture=x64;flightRing=Retail;oemModel=Model 7;oemName="

static const DemoProduct products[] = {
    {"13984104677400476", "driver",
     "driverName=contoso.sys;driverVersion=3.1.0.17;productName=Contoso Storage "
     "Driver;submissionId=29900001_13984104677400476_1152921504627817541" DRIVER_SYSTEM},
    {"14208311096254871", "driver",
     "driverName=fabnet.sys;driverVersion=10.4.2.8;productName=Fabrikam Network "
     "Driver;submissionId=29900001_14208311096254871_1152921504628009127" DRIVER_SYSTEM},
    {"13760254918837702", "driver",
     "driverName=wingtipaudio.sys;driverVersion=6.0.9412.2;productName=Wingtip Audio "
     "Driver;submissionId=29900001_13760254918837702_1152921504626551093" DRIVER_SYSTEM},
    {"14431077260915538", "driver",
     "driverName=northwindgpu.sys;driverVersion=31.0.15.3667;productName=Northwind GPU "
     "Driver;submissionId=29900001_14431077260915538_1152921504629127760" DRIVER_SYSTEM},
    {"10238467886765136388", "desktop",
     "productName=Contoso Paint;appName=Contoso Paint;fileName=contosopaint.exe;applicationVersion=4.2.1.0;"
     "osRelease=Version 23H2;osBuild=10.0.22631.3447;deviceModel=Model 42"},
    {"15787360021947735102", "desktop",
     "productName=Fabrikam Sync;appName=Fabrikam Sync;fileName=fabsync.exe;applicationVersion=1.9.77.3;"
     "osRelease=Version 24H2;osBuild=10.0.26100.1742;deviceModel=Model 17"},
    {"9NBLGGGZ5QDR", "store",
     "primaryName=Contoso Notes;applicationName=Contoso Notes;packageName=Contoso.Notes;"
     "packageVersion=2.11.0.0;osRelease=Version 24H2;osBuild=10.0.27788.1000;osArchitecture=x64;"
     "deviceModel=Model 42;flightRing=Canary;praid=App"},
    {"ihvdriver", "ihvdriver", "sellerId=10001234"},
    {"hardware", "hardware",
     "sellerId=10001234;mode=kernel;flightRing=Retail;architecture=x64;osName=Windows 10"},
};

static const DemoFailure failures[] = {
    {0, "0x133_DISPATCH_contoso!OnDpc", "contoso!OnDpc+0x1c4", "System crash", "10.0.22631", "US",
     "oemName=Fabrikam", 9, "null-write-kernel.cab", "null-write-plain.cab", 0},
    {0, "AV_contoso!ParseDescriptor", "contoso!ParseDescriptor+0x5b", "System crash", "10.0.22621", "DE",
     "oemName=Adatum", 6, "null-write-mszip.cab", "null-write-plain.cab", 0},
    {0, "0x9F_3_POWER_DOWN_contoso!EvtDeviceD0Exit", "contoso!EvtDeviceD0Exit+0x88", "System crash",
     "10.0.26100", "JP", "oemName=Proseware", 5, "abort-kernel.cab", "abort-plain.cab", 0},
    {0, "0xC4_62_VRF_LEAKED_POOL_contoso!AllocateRing", "contoso!AllocateRing+0x2f", "System crash",
     "10.0.26100", "US", "oemName=Fabrikam", 3, NULL, NULL, 412 * 1024 + 77},
    {1, "0xD1_fabnet!ReceiveIndicate", "fabnet!ReceiveIndicate+0x3e1", "System crash", "10.0.22631", "GB",
     "oemName=Adatum", 8, "divide-plain.cab", "divide-mszip.cab", 0},
    {1, "0x10D_5_fabnet!EvtIoRead", "fabnet!EvtIoRead+0x11", "System crash", "10.0.19045", "FR",
     "oemName=Fabrikam", 4, "recursion-kernel.cab", "recursion-plain.cab", 0},
    {1, "0x133_ISR_fabnet!InterruptService", "fabnet!InterruptService+0x9a", "System crash", "10.0.22621", "IN",
     "oemName=Proseware", 4, "recursion-cab.zip", "recursion-plain.cab", 0},
    {2, "AV_wingtipaudio!MixStream", "wingtipaudio!MixStream+0x210", "System crash", "10.0.22631", "US",
     "oemName=Adatum", 6, "illegal-mszip.cab", "illegal-plain.cab", 0},
    {2, "0x3B_c0000005_wingtipaudio!SetVolume", "wingtipaudio!SetVolume+0x42", "System crash", "10.0.26100",
     "BR", "oemName=Fabrikam", 3, "illegal-files.zip", "illegal-plain.cab", 0},
    {3, "LKD_0x141_Tdr:6_northwindgpu!SubmitCommand", "northwindgpu!SubmitCommand+0x7d0", "Live kernel event",
     "10.0.22631", "US", "oemName=Adatum", 7, "abort-mszip.cab", "abort-plain.cab", 0},
    {3, "0x116_TDR_northwindgpu!ResetEngine", "northwindgpu!ResetEngine+0x1f", "System crash", "10.0.26100",
     "KR", "oemName=Proseware", 3, NULL, NULL, 7 * 1024 * 1024 + 4321},
    {3, "0x1E_c000001d_northwindgpu!CompileShader", "northwindgpu!CompileShader+0x9c2", "System crash",
     "10.0.22621", "CA", "oemName=Adatum", 2, NULL, NULL, 38 * 1024 * 1024 + 99},

    {4, "AV_c0000005_contosopaint.exe!Canvas::Blend", "contosopaint!Canvas::Blend+0x4e", "crash", "Windows 11",
     "US", "", 5, "null-write-plain.cab", "null-write-mszip.cab", 0},
    {4, "STACK_OVERFLOW_c00000fd_contosopaint.exe!Layer::Visit", "contosopaint!Layer::Visit+0x19", "crash",
     "Windows 11", "DE", "", 4, "recursion-plain.cab", "recursion-mszip.cab", 0},
    {4, "APPLICATION_HANG_contosopaint.exe!SaveDialog", "contosopaint!SaveDialog+0x77", "hang", "Windows 10",
     "JP", "", 2, NULL, NULL, 900 * 1024 + 5},
    {5, "INTEGER_DIVIDE_BY_ZERO_c0000094_fabsync.exe!Rate", "fabsync!Rate+0x8", "crash", "Windows 11", "FR", "",
     3, "divide-plain.cab", "divide-mszip.cab", 0},
    {6, "FAIL_FAST_c0000409_Contoso.Notes!Sync", "Contoso.Notes!Sync+0x13a", "crash", "Windows 11", "US", "", 4,
     "abort-plain.cab", "abort-mszip.cab", 0},
    {6, "ILLEGAL_INSTRUCTION_c000001d_Contoso.Notes!Ink", "Contoso.Notes!Ink+0x2", "crash", "Windows 11", "IN",
     "", 2, "illegal-plain.cab", "illegal-mszip.cab", 0},
    {7, "0x7E_c0000005_contoso7.sys!Init", "contoso7!Init+0x31", "System crash", "6.1.7601", "CN",
     SEVEN "Adatum;driverName=contoso7.sys;driverVersion=2.0.0.4", 3, "null-write-kernel.cab",
     "null-write-plain.cab", 0},
    {7, "0x50_fabnet8.sys!Send", "fabnet8!Send+0x90", "System crash", "6.3.9600", "PL",
     SEVEN "Proseware;driverName=fabnet8.sys;driverVersion=8.8.0.1", 2, "divide-kernel.cab", "divide-plain.cab",
     0},
    {8, "0x101_CLOCK_WATCHDOG_TIMEOUT", "nt!KeAccumulateTicks+0x1c", "System crash", "10.0.19045", "US",
     "moduleName=intelppm.sys;moduleVersion=10.0.19041.1;model=Tailspin "
     "T1;baseboard=TS-100;modelFamily=Tailspin",
     3, "abort-kernel.cab", "abort-plain.cab", 0},
    {8, "0x124_0_GenuineIntel_PROCESSOR", "hal!HalBugCheckSystem+0xca", "System crash", "10.0.22631", "MX",
     "moduleName=GenuineIntel;moduleVersion=1.0;model=Tailspin T2;baseboard=TS-200;modelFamily=Tailspin", 2,
     NULL, NULL, 2 * 1024 * 1024 + 1},
};

/* Adds "name=value;name=value". */
static void add_pairs (json_t *fields, const char *pairs) {
  g_auto (GStrv) list = g_strsplit (pairs, ";", -1);
  for (guint i = 0; list[i] != NULL; i++) {
    char *value = strchr (list[i], '=');
    if (value == NULL)
      continue;
    *value++ = '\0';
    json_object_set_new (fields, list[i], json_string (value));
  }
}

static json_t *failure_fields (const DemoFailure *failure) {
  json_t *fields = json_pack ("{s:s, s:s, s:s, s:s, s:s, s:s}", "failureName", failure->name, "symbol",
                              failure->symbol, "eventType", failure->event, "osVersion", failure->os_version,
                              "market", failure->market, "deviceType", "PC");
  add_pairs (fields, failure->more);
  return fields;
}

/* The CABs of a failure lie over the last days, the newest a few hours old. */
static json_t *cabs_rule (const DemoFailure *failure, guint index, gint64 midnight) {
  gint64 step = DAYS * EMU_DAY / (failure->cabs + 1);
  gint64 newest = midnight - 3600 * (2 + (gint64) index) - 61 * (gint64) index;
  json_t *rule = json_pack ("{s:i, s:I, s:I, s:I, s:{s:s}}", "count", (int) failure->cabs, "seed",
                            (json_int_t) (100 + index), "date", (json_int_t) newest, "step", (json_int_t) step,
                            "fields", "cabType", failure->payload != NULL ? "MINI" : "kernel");
  if (failure->payload != NULL)
    json_object_set_new (rule, "payload",
                         json_pack ("[s, s, s]", failure->payload, failure->payload, failure->other));
  else
    json_object_set_new (
        rule, "size",
        json_pack ("{s:I, s:I}", "min", (json_int_t) (failure->size / 2), "max", (json_int_t) failure->size));
  return rule;
}

static json_t *demo_failure (const DemoFailure *failure, guint index, gint64 midnight) {
  g_autofree char *hash = emu_build_guid (2026, failure->name, 0);
  json_t *events = json_pack ("[{s:I, s:i}]", "date", (json_int_t) (midnight - EMU_DAY * (1 + index % 5)),
                              "count", (int) (17 + 31 * index));
  return json_pack ("{s:s, s:o, s:o, s:[o]}", "hash", hash, "fields", failure_fields (failure), "events",
                    events, "cabs", cabs_rule (failure, index, midnight));
}

json_t *emu_build_demo (gint64 now) {
  gint64 midnight = emu_date_midnight (now);
  json_t *applications = json_array ();
  for (guint p = 0; p < G_N_ELEMENTS (products); p++) {
    json_t *list = json_array (), *fields = json_object ();
    for (guint f = 0; f < G_N_ELEMENTS (failures); f++)
      if (failures[f].product == p)
        json_array_append_new (list, demo_failure (&failures[f], f, midnight));
    add_pairs (fields, products[p].fields);
    json_array_append_new (applications, json_pack ("{s:s, s:s, s:o, s:o}", "id", products[p].id, "family",
                                                    products[p].family, "fields", fields, "failures", list));
  }
  return json_pack ("{s:o}", "applications", applications);
}
