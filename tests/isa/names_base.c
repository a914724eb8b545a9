/* SPDX-License-Identifier: MIT */
/*
 * The mnemonics of the base instructions where they are not the row's name: suffixes that the tables do not spell out,
 * and a few aliases that objdump always prefers.
 */
#include "harness.h"

static const char any_msr[] = "it prints every word of the MSR space";
static const char should_be_one[] = "it wants the fields that should be one to be so";
static const char unpredictable[] = "it refuses two equal destinations";

const struct name names_base[] = {
	{"UDF", .they_take_more = "UDF is UNDEFINED by name"},
	{"B_cond", .mnemonics = "b.*"},
	{"BC_cond", .mnemonics = "bc.*"},
	{"NOP", .mnemonics = "hint"},
	{"YIELD", .mnemonics = "hint"},
	{"WFE", .mnemonics = "hint"},
	{"ESB", .mnemonics = "hint"},
	{"WFI", .mnemonics = "hint"},
	{"SEV", .mnemonics = "hint"},
	{"SEVL", .mnemonics = "hint"},
	{"XPACLRI", .mnemonics = "hint"},
	{"PAC1716", .mnemonics = "hint"},
	{"AUT1716", .mnemonics = "hint"},
	{"PACZ", .mnemonics = "hint"},
	{"AUTZ", .mnemonics = "hint"},
	{"PACSP", .mnemonics = "hint"},
	{"AUTSP", .mnemonics = "hint"},
	{"BTI", .mnemonics = "hint"},
	{"BRA", .mnemonics = "braa brab braaz brabz"},
	{"BLRA", .mnemonics = "blraa blrab blraaz blrabz"},
	{"RETA", .mnemonics = "retaa retab"},
	{"ERETA", .mnemonics = "eretaa eretab"},
	{"LDRA", .mnemonics = "ldraa ldrab"},
	{"PAC", .mnemonics = "pacia pacib pacda pacdb"},
	{"AUT", .mnemonics = "autia autib autda autdb"},
	{"PACZ_zero", .mnemonics = "paciza pacizb pacdza pacdzb"},
	{"AUTZ_zero", .mnemonics = "autiza autizb autdza autdzb"},
	{"XPAC", .mnemonics = "xpaci xpacd"},
	{"SB", .they_take_more = any_msr},
	{"MSR_imm", .they_take_more = any_msr},
	{"STXR", .mnemonics = "stxr stxrb stxrh stlxr stlxrb stlxrh"},
	{"LDXR", .mnemonics = "ldxr ldxrb ldxrh ldaxr ldaxrb ldaxrh"},
	{"STXP", .mnemonics = "stxp stlxp"},
	{"LDXP", .mnemonics = "ldxp ldaxp"},
	{"STLLR", .mnemonics = "stllr stllrb stllrh"},
	{"STLR", .mnemonics = "stlr stlrb stlrh"},
	{"LDLAR", .mnemonics = "ldlar ldlarb ldlarh"},
	{"LDAR", .mnemonics = "ldar ldarb ldarh", .they_take_less = should_be_one},
	{"LDPSW_*", .mnemonics = "ldpsw", .they_take_less = unpredictable},
	{"CASP", .mnemonics = "casp caspa caspl caspal"},
#define LSE(name) \
	name " " name "a " name "l " name "al " name "b " name "ab " name "lb " name "alb " name "h " name "ah " name \
	     "lh " name "alh"
	{"CAS", .mnemonics = LSE("cas")},
	{"LDADD", .mnemonics = LSE("ldadd")},
	{"LDCLR", .mnemonics = LSE("ldclr")},
	{"LDEOR", .mnemonics = LSE("ldeor")},
	{"LDSET", .mnemonics = LSE("ldset")},
	{"LDSMAX", .mnemonics = LSE("ldsmax")},
	{"LDSMIN", .mnemonics = LSE("ldsmin")},
	{"LDUMAX", .mnemonics = LSE("ldumax")},
	{"LDUMIN", .mnemonics = LSE("ldumin")},
	{"SWP", .mnemonics = LSE("swp")},
	{"LDAPR", .mnemonics = "ldapr ldaprb ldaprh"},
	{"CRC32", .mnemonics = "crc32b crc32h crc32w crc32x"},
	{"CRC32C", .mnemonics = "crc32cb crc32ch crc32cw crc32cx"},
	{.rows = NULL},
};

/* It prints op0 = 0 as a register move, too; FEAT_FHM is not in the tables. */
const char names_gaps[] = "msr mrs fmlal fmlal2 fmlsl fmlsl2";
