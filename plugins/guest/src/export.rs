//! The lines that export a plugin. They expand in the plugin's crate, since a component's world is fixed there.

/// Exports a [`crate::Source`] as the plugin of this crate. Once for each crate, which must be a `cdylib`.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        // Named outside of what is expanded below, where its name could mean something else.
        #[doc(hidden)]
        type __LongshorePlugin = $source;
        #[doc(hidden)]
        #[allow(
            unsafe_code,
            unreachable_pub,
            missing_docs,
            clippy::all,
            clippy::pedantic
        )]
        mod __longshore {
            $crate::__bindings_of_source!();
        }
        const _: () = {
            use __longshore::exports::longshore::connector::{planner, plugin, source_task};
            use $crate::{Error, Source, exported};
            $crate::__export_parts!(__LongshorePlugin, Source);
            $crate::__export_planner!(__LongshorePlugin, Source);

            impl source_task::Guest for Plugin {
                fn start(
                    config: String,
                    positions: Vec<source_task::Position>,
                ) -> Result<(), Wire> {
                    let stored = exported::positions(
                        positions
                            .into_iter()
                            .map(|stored| (stored.lane, stored.position)),
                    )?;
                    let task =
                        <__LongshorePlugin as Source>::start(exported::parsed(&config)?, stored)?;
                    TASK.with(|slot| *slot.borrow_mut() = Some(task));
                    Ok(())
                }
                fn poll(
                    max_rows: u32,
                    max_bytes: u32,
                    max_wait_ms: u32,
                ) -> Result<source_task::Polled, Wire> {
                    let polled =
                        with_task(|task| exported::polled(task, max_rows, max_bytes, max_wait_ms))?;
                    Ok(source_task::Polled {
                        records: polled.records,
                        lanes: polled.lanes,
                        lane: polled.lane,
                        positions: polled.positions,
                        idle_ms: polled.idle_ms,
                        finished: polled.finished,
                    })
                }
                fn committed(positions: Vec<source_task::Position>) -> Result<(), Wire> {
                    let stored = exported::positions(
                        positions
                            .into_iter()
                            .map(|stored| (stored.lane, stored.position)),
                    )?;
                    with_task(|task| task.committed(&stored))?;
                    Ok(())
                }
                fn close() {
                    if let Some(mut task) = TASK.with(|slot| slot.borrow_mut().take()) {
                        task.close();
                    }
                }
            }
    __longshore::export!(Plugin with_types_in __longshore);
        };
    };
}

/// Exports a [`crate::Sink`] as the plugin of this crate. Once for each crate, which must be a `cdylib`.
#[macro_export]
macro_rules! export_sink {
    ($sink:ty) => {
        // Named outside of what is expanded below, where its name could mean something else.
        #[doc(hidden)]
        type __LongshorePlugin = $sink;
        #[doc(hidden)]
        #[allow(
            unsafe_code,
            unreachable_pub,
            missing_docs,
            clippy::all,
            clippy::pedantic
        )]
        mod __longshore {
            $crate::__bindings_of_sink!();
        }
        const _: () = {
            use __longshore::exports::longshore::connector::{planner, plugin, sink_task};
            use $crate::abi::longshore::connector::types;
            use $crate::{Error, Sink, exported};
            $crate::__export_parts!(__LongshorePlugin, Sink);
            $crate::__export_planner!(__LongshorePlugin, Sink);

            fn partitions(at: Vec<sink_task::TopicPartition>) -> Vec<$crate::TopicPartition> {
                at.into_iter()
                    .map(|at| $crate::TopicPartition {
                        topic: at.topic,
                        partition: at.partition,
                    })
                    .collect()
            }
            fn outgoing(at: Vec<$crate::TopicOffset>) -> Vec<sink_task::TopicOffset> {
                at.into_iter()
                    .map(|at| sink_task::TopicOffset {
                        topic: at.topic,
                        partition: at.partition,
                        offset: at.offset,
                    })
                    .collect()
            }

            fn rows(refused: Vec<(u32, Error)>) -> Vec<types::RowError> {
                refused
                    .into_iter()
                    .map(|(row, error)| types::RowError {
                        row,
                        error: error.into(),
                    })
                    .collect()
            }

            impl sink_task::Guest for Plugin {
                fn start(config: String) -> Result<(), Wire> {
                    let task = <__LongshorePlugin as Sink>::start(exported::parsed(&config)?)?;
                    TASK.with(|slot| *slot.borrow_mut() = Some(task));
                    Ok(())
                }
                fn assigned(
                    at: Vec<sink_task::TopicPartition>,
                ) -> Result<Option<Vec<sink_task::TopicOffset>>, Wire> {
                    Ok(with_task(|task| task.assigned(&partitions(at)))?.map(outgoing))
                }
                fn put(records: types::Batch) -> Result<Vec<types::RowError>, sink_task::PutError> {
                    let result = TASK.with(|slot| match slot.borrow_mut().as_mut() {
                        Some(task) => exported::taken(task, &records),
                        None => Err(not_started().into()),
                    });
                    match result {
                        Ok(refused) => Ok(rows(refused)),
                        Err(failed) => {
                            let (error, taken, refused) = exported::put_error(failed);
                            Err(sink_task::PutError {
                                error: error.into(),
                                taken,
                                refused: rows(refused),
                            })
                        }
                    }
                }
                fn flush(
                    upto: Vec<sink_task::TopicOffset>,
                ) -> Result<Vec<sink_task::TopicOffset>, Wire> {
                    let upto = upto
                        .into_iter()
                        .map(|at| $crate::TopicOffset {
                            topic: at.topic,
                            partition: at.partition,
                            offset: at.offset,
                        })
                        .collect();
                    Ok(outgoing(with_task(|task| task.flush(upto))?))
                }
                fn revoked(at: Vec<sink_task::TopicPartition>) -> Result<(), Wire> {
                    with_task(|task| task.revoked(&partitions(at)))?;
                    Ok(())
                }
                fn close() {
                    if let Some(mut task) = TASK.with(|slot| slot.borrow_mut().take()) {
                        task.close();
                    }
                }
            }
    __longshore::export!(Plugin with_types_in __longshore);
        };
    };
}

/// Exports a [`crate::Transform`] as the plugin of this crate. Once for each crate, which must be a `cdylib`.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        // Named outside of what is expanded below, where its name could mean something else.
        #[doc(hidden)]
        type __LongshorePlugin = $transform;
        #[doc(hidden)]
        #[allow(
            unsafe_code,
            unreachable_pub,
            missing_docs,
            clippy::all,
            clippy::pedantic
        )]
        mod __longshore {
            $crate::__bindings_of_transform!();
        }
        const _: () = {
            use __longshore::exports::longshore::connector::{plugin, record_transform};
            use $crate::abi::longshore::connector::types;
            use $crate::{Error, Transform, exported};
            $crate::__export_parts!(__LongshorePlugin, Transform);

            impl record_transform::Guest for Plugin {
                fn start(config: String) -> Result<(), Wire> {
                    let task = exported::started::<__LongshorePlugin>(&config)?;
                    TASK.with(|slot| *slot.borrow_mut() = Some(task));
                    Ok(())
                }
                fn apply(records: types::Batch) -> Result<record_transform::Edit, Wire> {
                    let edited = with_task(|task| exported::applied(task, &records))?;
                    let headers =
                        edited
                            .headers
                            .into_iter()
                            .map(|edit| record_transform::HeaderEdit {
                                row: edit.row,
                                name: edit.name,
                                value: edit.value,
                                format: edit.format,
                            });
                    let failed = edited.failed.into_iter();
                    let failed = failed.map(|(row, error)| types::RowError {
                        row,
                        error: error.into(),
                    });
                    Ok(record_transform::Edit {
                        keep: edited.keep,
                        key: edited.key,
                        value: edited.value,
                        topics: edited.topics,
                        topic: edited.topic,
                        timestamp_ms: edited.timestamp_ms,
                        headers: headers.collect(),
                        failed: failed.collect(),
                    })
                }
            }
    __longshore::export!(Plugin with_types_in __longshore);
        };
    };
}

/// What all worlds share: the place of the task, and what the plugin says about itself.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_parts {
    ($plugin:ty, $kind:ident) => {
        type Wire = $crate::abi::longshore::connector::types::Error;
        struct Plugin;

        ::std::thread_local! {
            /// An instance is one task, and has one thread.
            static TASK: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
        }
        fn not_started() -> Error {
            Error::fatal("called before start, or after close")
        }
        fn with_task<R>(call: impl FnOnce(&mut $plugin) -> Result<R, Error>) -> Result<R, Error> {
            TASK.with(|slot| match slot.borrow_mut().as_mut() {
                Some(task) => call(task),
                None => Err(not_started()),
            })
        }

        impl plugin::Guest for Plugin {
            fn describe() -> plugin::Info {
                let info = <$plugin as $kind>::INFO;
                plugin::Info {
                    name: info.name.to_owned(),
                    version: info.version.to_owned(),
                    vendor: info.vendor.to_owned(),
                    description: info.description.to_owned(),
                    capabilities: plugin::Capabilities::from_bits_truncate(info.capability_bits()),
                    needs: info.needs,
                    key_format: info.key_format,
                    value_format: info.value_format,
                }
            }
            fn config_schema() -> String {
                exported::schema::<<$plugin as $kind>::Config>()
            }
            fn check(config: String) -> Result<Vec<plugin::Problem>, Wire> {
                let problems = <$plugin as $kind>::check(&exported::parsed(&config)?)?;
                let problems = problems.into_iter().map(|problem| plugin::Problem {
                    key: problem.key,
                    message: problem.message,
                    suggestion: problem.suggestion,
                });
                Ok(problems.collect())
            }
        }
    };
}

/// What sources and sinks share.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_planner {
    ($plugin:ty, $kind:ident) => {
        impl planner::Guest for Plugin {
            fn plan(config: String, tasks_max: u32) -> Result<Vec<planner::Share>, Wire> {
                Ok(<$plugin as $kind>::plan(
                    &exported::parsed(&config)?,
                    tasks_max,
                )?)
            }
            fn promise(config: String) -> planner::Guarantee {
                let promised = match exported::parsed(&config) {
                    Ok(config) => <$plugin as $kind>::promise(&config),
                    Err(error) => $crate::Guarantee::at_least_once(error.to_string()),
                };
                planner::Guarantee {
                    level: promised.level,
                    method: promised.method,
                }
            }
        }
    };
}
