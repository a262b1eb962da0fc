# Finds the libraries that Retort uses, as targets Retort::mpi, Retort::petsc, … It serves the build and the installed
# package RetortConfig.cmake. What is not found is collected, so that it can be named all at once.
#
# Libraries outside the system's folders: CMAKE_PREFIX_PATH, PKG_CONFIG_PATH, or PETSC_DIR and PETSC_ARCH.

include_guard(GLOBAL)

# Note that something is missing. package: of Debian.
function(retort_missing package text)
  set_property(GLOBAL APPEND PROPERTY retort_missing_packages ${package})
  set_property(GLOBAL APPEND_STRING PROPERTY retort_missing_text "  ${text}\n")
endfunction()

# retort_find(NAME PACKAGE debian [PKG_CONFIG module…] [HEADER file] LIBRARY name… [HINTS folder…]
#             [CHECK file regex reason])
# Makes the target Retort::NAME. Of several modules or libraries the first that is found counts. CHECK: a file in the
# folder of HEADER, what it must contain, and what it means if it does not.
function(retort_find name)
  cmake_parse_arguments(PARSE_ARGV 1 find "" "PACKAGE;HEADER" "PKG_CONFIG;LIBRARY;HINTS;CHECK")
  set(prefix RETORT_${name})
  if(find_PKG_CONFIG AND PKG_CONFIG_FOUND)
    pkg_search_module(${prefix}_PC QUIET ${find_PKG_CONFIG})
  endif()
  foreach(place ${prefix}_LIBRARY ${prefix}_INCLUDE)
    if(NOT EXISTS "${${place}}") # its package was removed since
      unset(${place} CACHE)
    endif()
  endforeach()
  find_library(${prefix}_LIBRARY NAMES ${${prefix}_PC_LIBRARIES} ${find_LIBRARY}
               HINTS ${${prefix}_PC_LIBRARY_DIRS})
  set(found ${${prefix}_LIBRARY})
  set(wanted "library ${name}")
  if(find_HEADER)
    set(wanted "${find_HEADER} and its library")
    find_path(${prefix}_INCLUDE ${find_HEADER} HINTS ${find_HINTS} ${${prefix}_PC_INCLUDE_DIRS})
    if(NOT EXISTS "${${prefix}_INCLUDE}/${find_HEADER}")
      set(found FALSE)
    elseif(find_CHECK)
      list(GET find_CHECK 0 file)
      list(GET find_CHECK 1 pattern)
      list(GET find_CHECK 2 reason)
      set(lines)
      if(EXISTS ${${prefix}_INCLUDE}/${file})
        file(STRINGS ${${prefix}_INCLUDE}/${file} lines REGEX ${pattern})
      endif()
      if(NOT lines)
        set(wanted "${find_HEADER} (the one in ${${prefix}_INCLUDE} ${reason})")
        set(found FALSE)
      endif()
    endif()
  endif()
  mark_as_advanced(${prefix}_LIBRARY ${prefix}_INCLUDE)
  if(NOT found)
    unset(${prefix}_INCLUDE CACHE)
    unset(${prefix}_LIBRARY CACHE)
    retort_missing(${find_PACKAGE} "${wanted}: package ${find_PACKAGE}")
    return()
  endif()
  set(folders ${${prefix}_INCLUDE} ${${prefix}_PC_INCLUDE_DIRS})
  list(REMOVE_DUPLICATES folders)
  add_library(Retort::${name} INTERFACE IMPORTED GLOBAL)
  set_target_properties(Retort::${name} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}"
                                                   INTERFACE_LINK_LIBRARIES "${${prefix}_LIBRARY}")
endfunction()

# What Retort's public headers need. A shared libretort needs no more. (Macros, so that what find_package sets stays.)
macro(retort_find_public)
  find_package(PkgConfig QUIET)
  if(NOT PKG_CONFIG_FOUND)
    retort_missing(pkg-config "pkg-config: package pkg-config")
  endif()
  find_package(MPI QUIET COMPONENTS C)
  if(MPI_C_FOUND)
    add_library(Retort::mpi INTERFACE IMPORTED GLOBAL)
    set_target_properties(Retort::mpi PROPERTIES INTERFACE_LINK_LIBRARIES MPI::MPI_C)
    set_target_properties(MPI::MPI_C PROPERTIES IMPORTED_GLOBAL TRUE)
  else()
    retort_missing("libopenmpi-dev;openmpi-bin" "MPI for C: packages libopenmpi-dev openmpi-bin")
  endif()
  if(DEFINED ENV{PETSC_DIR})
    set(ENV{PKG_CONFIG_PATH}
        "$ENV{PETSC_DIR}/$ENV{PETSC_ARCH}/lib/pkgconfig:$ENV{PETSC_DIR}/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
  endif()
  retort_find(petsc PACKAGE petsc-dev PKG_CONFIG PETSc petsc HEADER petscsys.h LIBRARY petsc_real petsc)
  foreach(folder IN LISTS RETORT_petsc_INCLUDE RETORT_petsc_PC_INCLUDE_DIRS)
    if(EXISTS ${folder}/petscconf.h)
      file(STRINGS ${folder}/petscconf.h other REGEX "define PETSC_USE_(COMPLEX|REAL_SINGLE|REAL___FLOAT128) ")
      if(other)
        retort_missing(petsc-dev "PETSc in real double precision (not the one in ${folder}): package petsc-dev")
        break()
      endif()
    endif()
  endforeach()
endmacro()

# All that libretort is made of.
macro(retort_find_dependencies)
  retort_find_public()
  # Debian keeps the parallel headers in a folder of their own; they come first, so that serial ones are not taken.
  retort_find(netcdf PACKAGE libnetcdf-mpi-dev HEADER netcdf_par.h LIBRARY netcdf_mpi netcdf
              HINTS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/netcdf/mpi/include
              CHECK netcdf_meta.h "NC_HAS_PARALLEL4[ ]+1" "is netCDF without parallel access")
  retort_find(scalapack PACKAGE libscalapack-openmpi-dev PKG_CONFIG scalapack-openmpi scalapack
              LIBRARY scalapack-openmpi scalapack)
  retort_find(blas PACKAGE libopenblas-dev LIBRARY blas openblas)
  retort_find(dnnl PACKAGE libdnnl-dev PKG_CONFIG dnnl HEADER dnnl.h LIBRARY dnnl
              CHECK oneapi/dnnl/dnnl_version.h "DNNL_VERSION_MAJOR[ ]+2" "is not version 2 of oneDNN")
  retort_find(protobufc PACKAGE libprotobuf-c-dev PKG_CONFIG libprotobuf-c HEADER protobuf-c/protobuf-c.h
              LIBRARY protobuf-c)
  retort_find(zlib PACKAGE zlib1g-dev PKG_CONFIG zlib HEADER zlib.h LIBRARY z)
  retort_find(libzip PACKAGE libzip-dev PKG_CONFIG libzip HEADER zip.h LIBRARY zip)
  retort_find(libcsv PACKAGE libcsv-dev HEADER csv.h LIBRARY csv)
  retort_find(libcrypto PACKAGE libssl-dev PKG_CONFIG libcrypto HEADER openssl/evp.h LIBRARY crypto)
  find_package(OpenMP QUIET COMPONENTS C)
  if(OpenMP_C_FOUND)
    add_library(Retort::openmp INTERFACE IMPORTED GLOBAL)
    set_target_properties(Retort::openmp PROPERTIES INTERFACE_LINK_LIBRARIES OpenMP::OpenMP_C)
    set_target_properties(OpenMP::OpenMP_C PROPERTIES IMPORTED_GLOBAL TRUE)
  else()
    retort_missing(gcc "a C compiler with OpenMP: package gcc")
  endif()
  find_program(RETORT_PROTOC_C protoc-c)
  if(NOT RETORT_PROTOC_C)
    retort_missing(protobuf-c-compiler "program protoc-c: package protobuf-c-compiler")
  endif()
  find_file(RETORT_ONNX_PROTO onnx/onnx.proto PATH_SUFFIXES include)
  if(NOT RETORT_ONNX_PROTO)
    retort_missing(libonnx-dev "onnx/onnx.proto: package libonnx-dev")
  endif()
  mark_as_advanced(RETORT_PROTOC_C RETORT_ONNX_PROTO)
endmacro()

# End with one message if anything is missing.
function(retort_require_dependencies)
  get_property(packages GLOBAL PROPERTY retort_missing_packages)
  get_property(text GLOBAL PROPERTY retort_missing_text)
  if(packages)
    list(REMOVE_DUPLICATES packages)
    list(JOIN packages " " packages)
    message(FATAL_ERROR "Retort needs what was not found here:\n${text}Install them with:\n"
                        "  apt-get install ${packages}\n"
                        "If they stand elsewhere, name the folders in CMAKE_PREFIX_PATH and PKG_CONFIG_PATH.")
  endif()
endfunction()
