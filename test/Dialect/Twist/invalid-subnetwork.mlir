// RUN: twist-opt %s --twist-apply-subnetwork --split-input-file --verify-diagnostics

// expected-error @below {{names no twist.axis: 'b'}}
twist.subnetwork @s {b = array<i64: 0>}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = []}
// expected-error @below {{keeps no array<i64> of 'a'}}
twist.subnetwork @s {a = [0, 1]}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = []}
// expected-error @below {{keeps unit 4 of axis 'a', which has 4}}
twist.subnetwork @s {a = array<i64: 0, 4>}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = []}
// expected-error @below {{keeps units of axis 'a' that do not ascend}}
twist.subnetwork @s {a = array<i64: 2, 1>}

// -----

twist.subnetwork @s {}
// expected-error @below {{is the module's second}}
twist.subnetwork @t {}
