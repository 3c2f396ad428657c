// A self-signed certificate for localhost and 127.0.0.1 with its key, as files in a directory.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace kappa::testing {

struct Certificate {
  std::filesystem::path certificate, key;

  // `name`: of the files.
  Certificate(const std::filesystem::path& directory, const std::string& name) {
    certificate = directory / (name + ".crt");
    key = directory / (name + ".key");
    EVP_PKEY* pair = EVP_EC_gen("P-256");
    X509* x509 = ::X509_new();
    ::X509_set_version(x509, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(x509), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(x509), -3600);
    ::X509_gmtime_adj(::X509_getm_notAfter(x509), 3600);
    ::X509_set_pubkey(x509, pair);
    X509_NAME* subject = ::X509_get_subject_name(x509);
    ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    ::X509_set_issuer_name(x509, subject);
    X509_EXTENSION* names = ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    ::X509_add_ext(x509, names, -1);
    ::X509_EXTENSION_free(names);
    EXPECT_GT(::X509_sign(x509, pair, ::EVP_sha256()), 0);
    std::FILE* file = std::fopen(certificate.c_str(), "w");
    EXPECT_EQ(::PEM_write_X509(file, x509), 1);
    std::fclose(file);
    file = std::fopen(key.c_str(), "w");
    EXPECT_EQ(::PEM_write_PrivateKey(file, pair, nullptr, nullptr, 0, nullptr, nullptr), 1);
    std::fclose(file);
    ::chmod(key.c_str(), 0600);
    ::X509_free(x509);
    ::EVP_PKEY_free(pair);
  }
};

}  // namespace kappa::testing
