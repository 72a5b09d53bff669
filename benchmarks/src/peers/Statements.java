import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs statements of Flink SQL one after the other, in this process, with a parallelism of one: "batch" or "streaming", and their file. */
public class Statements {
    public static void main(String[] arguments) throws Exception {
        EnvironmentSettings.Builder settings = EnvironmentSettings.newInstance();
        settings = arguments[0].equals("batch") ? settings.inBatchMode() : settings.inStreamingMode();
        Configuration configuration = new Configuration();
        configuration.set(CoreOptions.DEFAULT_PARALLELISM, 1);
        // By default it has 128 MB, and sorts on disk what does not fit.
        configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(1024));
        // One task needs no sums of its own before those of all.
        configuration.setString("table.optimizer.agg-phase-strategy", "ONE_PHASE");
        TableEnvironment tables = TableEnvironment.create(settings.withConfiguration(configuration).build());
        for (String statement : Files.readString(Path.of(arguments[1])).split(";\\s*\n")) {
            if (!statement.isBlank()) {
                tables.executeSql(statement).await();
            }
        }
    }
}
