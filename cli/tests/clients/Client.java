import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.TreeSet;

/** What a database tool asks of a server: `java -cp driver.jar Client.java URL [user password | token]`. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        if (arguments.length == 3) {
            properties.put("user", arguments[1]);
            properties.put("password", arguments[2]);
        } else if (arguments.length == 2) {
            properties.put("token", arguments[1]);
        }
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            DatabaseMetaData metadata = connection.getMetaData();
            System.out.println("product " + metadata.getDatabaseProductName() + " readonly " + metadata.isReadOnly());
            facts(metadata);
            print("catalogs", metadata.getCatalogs(), 1);
            print("schemas", metadata.getSchemas(), 1, 2);
            print("types", metadata.getTableTypes(), 1);
            print("tables", metadata.getTables(null, null, "%", null), 1, 2, 3, 4);
            print("columns", metadata.getColumns(null, null, "totals", "%"), 3, 4, 5, 18);
            print("primary", metadata.getPrimaryKeys(null, null, "totals"), 4);
            print("imported", metadata.getImportedKeys(null, null, "totals"), 4);
            print("exported", metadata.getExportedKeys(null, null, "totals"), 4);
            query(connection, "SELECT * FROM totals");
            query(connection, "SELECT word, count(*) AS times FROM \"flowc\".\"public\".\"big\" GROUP BY word ORDER BY word");
            try (PreparedStatement prepared = connection.prepareStatement("SELECT max(total) AS most FROM totals")) {
                print("prepared", prepared.executeQuery(), 1);
                print("again", prepared.executeQuery(), 1);
            }
            try (Statement statement = connection.createStatement()) {
                statement.setMaxRows(2);
                print("few", statement.executeQuery("SELECT * FROM totals"), 1);
            }
            for (String wrong : List.of("SELECT nope FROM totals", "DELETE FROM totals", "SELECT * FROM none")) {
                try {
                    query(connection, wrong);
                } catch (SQLException refused) {
                    System.out.println("refused " + refused.getMessage().lines().findFirst().get());
                }
            }
        }
    }

    /** All that takes no arguments: tools ask for what they like. */
    static void facts(DatabaseMetaData metadata) throws Exception {
        TreeSet<String> failed = new TreeSet<>();
        int answered = 0;
        for (Method method : DatabaseMetaData.class.getMethods()) {
            if (method.getParameterCount() > 0 || Modifier.isStatic(method.getModifiers())) {
                continue;
            }
            try {
                if (method.invoke(metadata) instanceof ResultSet rows) {
                    rows.close();
                }
                answered++;
            } catch (InvocationTargetException error) {
                failed.add(method.getName() + ": " + error.getCause());
            }
        }
        System.out.println("facts " + (answered > 100) + " " + failed);
    }

    static void query(Connection connection, String text) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(text)) {
            ResultSetMetaData columns = rows.getMetaData();
            int[] all = new int[columns.getColumnCount()];
            for (int column = 0; column < all.length; column++) {
                all[column] = column + 1;
                System.out.println("column " + columns.getColumnName(column + 1) + " " + columns.getColumnTypeName(column + 1));
            }
            print("rows", rows, all);
        }
    }

    static void print(String name, ResultSet rows, int... columns) throws SQLException {
        while (rows.next()) {
            List<String> values = new ArrayList<>();
            for (int column : columns) {
                values.add(rows.getString(column));
            }
            System.out.println(name + " " + String.join(" ", values));
        }
        rows.close();
    }
}
